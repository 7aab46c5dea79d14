// sluice worker if a backend is unreachable or refuses it: the start fails if only an operator can help. Otherwise it
// reports the problem and tries again.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { MongoClient } from "mongodb";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { sharedMongoUrl, startRedis, withoutMongo, withoutRedis } from "../support/servers.ts";
import { run, start } from "./support.ts";

vi.setConfig({ testTimeout: 120_000 });

const database = `start-${process.pid}`;

/** With a sluice.yaml that has a database of its own. */
function workingDirectory(): string {
  const folder = mkdtempSync(join(tmpdir(), "sluice-worker-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, "sluice.yaml"), JSON.stringify({ environments: { UAT: { database } } }));
  return folder;
}

function worker(env: Record<string, string>) {
  const credentials = { AWS_ACCESS_KEY_ID: "test", AWS_SECRET_ACCESS_KEY: "test", SLUICE_LOG_LEVEL: "silent" };
  return { cwd: workingDirectory(), env: { ...credentials, ...env } };
}

describe.skipIf(withoutRedis() || withoutMongo())("the start of a worker", () => {
  test("a Redis that does not let it in is one line and exit code 1", async () => {
    const redis = await startRedis();
    onTestFinished(async () => {
      await redis.close();
      const client = new MongoClient(sharedMongoUrl());
      await client.db(database).dropDatabase();
      await client.close();
    });
    const client = new Redis(redis.url);
    await client.config("SET", "requirepass", "right");
    client.disconnect();
    const { host } = new URL(redis.url);
    const outcomes = await Promise.all(
      [`redis://${host}`, `redis://:wr0ng@${host}`].map((url) =>
        run(["worker"], worker({ MONGODB_URL: sharedMongoUrl(), REDIS_URL: url })),
      ),
    );
    for (const { code, stdout, stderr } of outcomes) {
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr).toMatch(/^Redis denies access to this service \(REDIS_URL\): (NOAUTH|WRONGPASS) .*\n$/);
      expect(stderr).not.toContain("wr0ng");
    }
  });

  test("an unreachable Redis is reported at the start, and tried again", async () => {
    const { printed, child, ended } = start(
      ["worker"],
      worker({ MONGODB_URL: sharedMongoUrl(), REDIS_URL: "redis://127.0.0.1:1" }),
    );
    await printed(/A worker of Sluice is ready/);
    await printed(/Attention +Redis is unavailable \(.*\)\. Sluice retries by itself\. No job runs until then\./);
    child.kill("SIGTERM");
    expect((await ended).code).toBe(0);
  });

  test("a MongoDB that is not there is one line and exit code 1", async () => {
    const { code, stdout, stderr } = await run(
      ["worker"],
      worker({ MONGODB_URL: "mongodb://127.0.0.1:1", REDIS_URL: "redis://127.0.0.1:1" }),
    );
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^MongoDB cannot be used \(MONGODB_URL\): .*\n$/);
  });
});
