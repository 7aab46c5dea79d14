// The distributed service with a secret in every setting that takes one: neither what it prints nor what it answers holds
// one, whether everything works or everything fails.
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { afterAll, expect, test } from "vitest";
import { startMongo, startRedis, withoutMongo, withoutRedis } from "../support/servers.ts";
import { startSluice } from "../support/sluice-process.ts";

const cleanups: (() => unknown)[] = [];
afterAll(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
});

/** A server that refuses every call and quotes the key that it was sent. */
async function startQuoting(): Promise<string> {
  const server = createServer((request, response) => {
    request.resume();
    const message = `Incorrect API key provided: ${request.headers.authorization}.`;
    response.writeHead(401, { "content-type": "application/json" }).end(JSON.stringify({ error: { message } }));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
}

test.skipIf(withoutRedis() || withoutMongo())(
  "E1: no log line and no answer holds a secret",
  { timeout: 120_000 },
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "sluice-secrets-"));
    const [redis, mongo, baseUrl] = await Promise.all([startRedis(), startMongo(), startQuoting()]);
    cleanups.push(() => Promise.all([redis.close(), mongo.close(), rm(folder, { recursive: true, force: true })]));
    const operator = new Redis(redis.port);
    await operator.config("SET", "requirepass", "hunter2/redis");
    const config = join(folder, "sluice.yaml");
    await writeFile(
      config,
      `models: { m: { deployments: [{ provider: openai, modelId: x, baseUrl: "${baseUrl}", apiKeyEnv: THE_KEY }] } }`,
    );
    const { child, url } = await startSluice(["serve", "--port", "0", "--config", config, "--log-level", "trace"], {
      env: {
        ...process.env,
        REDIS_URL: `redis://:hunter2%2Fredis@127.0.0.1:${redis.port}`,
        MONGODB_URL: mongo.url,
        THE_KEY: "sk-hunter2-the-key",
        AWS_SECRET_ACCESS_KEY: "hunter2-aws",
        HTTPS_PROXY: "http://u:hunter2proxy@127.0.0.1:1",
      },
    });
    cleanups.push(() => child.kill("SIGKILL"));
    let seen = "";
    for (const stream of [child.stdout!, child.stderr!]) stream.on("data", (chunk) => (seen += chunk));
    const ask = async (path: string, init?: RequestInit) => {
      const text = await (await fetch(url + path, init)).text();
      seen += `\n${path} ${text}`;
      return text;
    };
    const submit = () =>
      ask("/v1/jobs", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ prompt: "Hello?", environment: "UAT" }),
      });
    const { job_id } = JSON.parse(await submit()) as { job_id: string };
    await ask(`/v1/jobs/${job_id}?wait=5`);
    await expect.poll(() => ask("/v1/deployments"), { timeout: 20_000 }).toContain("Incorrect API key");
    // From now on the password is another one.
    await operator.config("SET", "requirepass", "another");
    await operator.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    operator.disconnect();
    await expect.poll(() => ask("/readyz"), { timeout: 20_000 }).toContain("degraded");
    await submit();
    await redis.stop();
    await ask("/readyz");
    await mongo.stop();
    await ask("/readyz");
    await submit();
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    await ended;
    expect(seen).toContain("Redis");
    expect(seen).not.toContain("MaxListenersExceededWarning");
    expect(seen.split("\n").filter((line) => line.includes("hunter2"))).toEqual([]);
  },
);
