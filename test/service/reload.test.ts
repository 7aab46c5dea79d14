// Reading the configuration again where several processes share one queue: the first that does gives the queue its limits,
// the others say that they differ until they have done so too.
import { expect, onTestFinished, test } from "vitest";
import type { Settings } from "../../src/config/settings.ts";
import { startService } from "../../src/service/start-service.ts";
import { testSettings } from "../support/jobs-context.ts";
import { startMongo, startRedis, withoutMongo, withoutRedis } from "../support/servers.ts";

test.skipIf(withoutRedis() || withoutMongo())("two processes, one after the other", async () => {
  const [redis, mongo] = await Promise.all([startRedis(), startMongo()]);
  onTestFinished(async () => {
    await Promise.all([redis.close(), mongo.close()]);
  });
  const settingsWith = (limit: number): Settings => {
    const quotas = [{ unit: "requests" as const, per: "minute" as const, limit }];
    const models = { m: { deployments: [{ region: "us-east-1", modelId: "amazon.nova-pro-v1:0", quotas }] } };
    return {
      ...testSettings({ models, defaultModel: "m", port: 0, logLevel: "silent" }),
      distributed: { mongoUrl: mongo.url, redisUrl: redis.url },
    };
  };
  let limit = 5;
  const start = async () => {
    const service = await startService(settingsWith(limit), {
      readSettings: async () => settingsWith(limit),
      createProvider: () => ({ call: () => new Promise(() => {}), close: async () => {} }),
    });
    onTestFinished(() => service.stop());
    return service;
  };
  const [first, second] = [await start(), await start()];
  const get = async (url: string | undefined, path: string) => (await (await fetch(`${url}${path}`)).json()) as unknown;
  await expect.poll(() => get(second.url, "/readyz"), { timeout: 15_000 }).toEqual({ status: "ok", reasons: [] });

  limit = 80;
  expect((await first.reload!()).changed).toContainEqual(expect.stringMatching(/requests\/minute\.limit: 5 -> 80$/));
  for (const { url } of [first, second]) {
    expect(await get(url, "/v1/deployments")).toMatchObject({ quotas: [{ configured_limit: 80 }] });
  }
  expect(await get(first.url, "/readyz")).toMatchObject({ status: "ok" });
  expect(await get(second.url, "/readyz")).toEqual({
    status: "degraded",
    reasons: ["the queue uses the configuration of another process"],
  });
  await second.reload!();
  expect(await get(second.url, "/readyz")).toMatchObject({ status: "ok" });
});
