// The samples in the history of the distributed form: a quota that holds up jobs is at its limit, and the advice says so.
// The service's calendar runs twenty times as fast, so that a minute ends after three seconds.
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { SluiceClient } from "../../src/client/index.ts";
import type { Clock } from "../../src/domain/clock.ts";
import type { HistoryResource } from "../../src/wire/history-resource.ts";
import { startTestService, type TestService } from "../batches/support.ts";
import { withoutMongo, withoutRedis } from "../support/servers.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const speed = 20;
const startedAt = Date.now();
const clock: Clock = {
  now: () => performance.now(),
  wall: () => startedAt + Math.floor((Date.now() - startedAt) * speed),
};

describe.skipIf(withoutRedis() || withoutMongo())("samples of the queue", () => {
  let service: TestService;
  beforeAll(async () => {
    const quotas = [{ unit: "requests" as const, per: "minute" as const, limit: 2 }];
    const deployments = [{ region: "us-east-1", modelId: "us.amazon.nova-lite-v1:0", quotas }];
    service = await startTestService("distributed", {
      clock,
      file: { defaultModel: "narrow", models: { narrow: { deployments } } },
    });
  });
  afterAll(() => service?.close());

  test("show the quota that jobs wait for, and how many wait", async () => {
    const client = new SluiceClient({ baseUrl: service.url });
    const jobs = Array.from({ length: 6 }, () => client.submit({ prompt: "hello", environment: "UAT" }));
    await Promise.all(jobs);
    const read = async () => {
      const to = new Date(clock.wall()).toISOString();
      return client.request<HistoryResource>("GET", `/v1/history?${new URLSearchParams({ to })}`);
    };
    const most = (column: (number | null)[] = []) => Math.max(...column.map((value) => value ?? 0));
    // Minutes are stored with the next sample after their end.
    await vi.waitFor(async () => expect(most((await read()).quotas[0]?.time_at_limit)).toBe(1), { timeout: 60_000 });

    const { quotas, queues, models } = await read();
    expect([quotas[0]!.used_max, quotas[0]!.effective_limit].map(most)).toEqual([2, 2]);
    expect(most(queues[0]!.waiting)).toBe(4);
    expect(models).toMatchObject([{ model: "narrow" }]);
    expect(most(models[0]!.oldest_waiting_s)).toBeGreaterThan(0);
    const advice = await client.request<{ quotas: object[] }>("GET", "/v1/quotas/advice");
    expect(advice.quotas).toMatchObject([{ status: "increase", configured_limit: 2, requests: 2 }]);
  });
});
