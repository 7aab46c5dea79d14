// sluice import-queue: from the old service's Redis into a data folder, and on to an answer.
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { sharedRedisUrl, withoutRedis } from "../support/servers.ts";
import { run, start } from "./support.ts";

// Every command is a process of its own, and they share the machine with the other tests.
vi.setConfig({ testTimeout: 120_000 });

function workingDirectory(): string {
  const folder = mkdtempSync(join(tmpdir(), "sluice-import-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

describe.skipIf(withoutRedis())("sluice import-queue", () => {
  test("needs no credentials, fails at once if the folder is in use, and its jobs are answered when the service starts", async () => {
    const cwd = workingDirectory();
    const redis = new Redis(sharedRedisUrl());
    onTestFinished(() => redis.disconnect());
    const [list, id, empty] = [`prompt_queue:${randomUUID()}`, randomUUID(), randomUUID()];
    await redis.rpush(list, id, empty);
    await redis.hset(`job:${id}`, { prompt: "Why is the sky blue?", status: "queued" });
    const args = ["import-queue", "--redis", sharedRedisUrl(), "--environment", "PROD", "--list", list];

    const look = await run([...args, "--dry-run"], { cwd });
    expect(look).toMatchObject({ code: 1, stderr: expect.stringContaining(`1 would stay in ${list}: `) });
    expect(look.stdout).toContain(`Would import 1 of 2 from ${list} into PROD; 0 already existed, 1 cannot`);
    const first = await run(args, { cwd });
    expect(first).toMatchObject({
      code: 1,
      stderr: `1 stay in ${list}: 1 are named above with the reason.\n`,
    });
    expect(first.stdout.split("\n")).toEqual([
      `"${empty}" has no prompt; it stays in the list`,
      `Imported 1 of 2 from ${list} into PROD; 0 already existed, 1 cannot be imported. The list has 1 now.`,
      "",
    ]);

    const service = start(["serve"], { cwd, env: { PORT: "0", SLUICE_LOG_LEVEL: "warn" } });
    const [, url] = await service.printed(/Sluice is ready on (\S+)/);
    const answer = await run(["status", id, "--wait", "--json"], { env: { SLUICE_URL: url! } });
    expect(JSON.parse(answer.stdout)).toMatchObject({ job_id: id, environment: "PROD", status: "completed" });

    const { stdout: audit } = await run(["audit", "--json"], { env: { SLUICE_URL: url! } });
    // One entry, because the dry run changed nothing.
    expect(JSON.parse(audit)).toMatchObject({
      action: "queue.import",
      actor: { kind: "command" },
      target: { type: "environment", id: "PROD" },
      count: 1,
      result: "ok",
    });

    const refused = await run(args, { cwd });
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(refused.stderr).toMatch(/^The data folder .* is in use by .* Stop that process/);
    expect(await redis.lrange(list, 0, -1)).toEqual([empty]);

    await redis.del(list);
    const nothing = await run(args, { cwd: workingDirectory() });
    expect(nothing).toMatchObject({ code: 0, stderr: "" });
  });

  test("what it is told wrongly is one clear line", async () => {
    const cwd = workingDirectory();
    const wrong = (redis: string, environment = "UAT") =>
      run(["import-queue", "--redis", redis, "--environment", environment], { cwd });
    expect(await wrong("127.0.0.1:6379")).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /^--redis is not a valid address: it must start with redis:\/\/ or rediss:\/\/\. .*\n$/,
      ),
    });
    expect((await wrong("redis://me:pass-word@127.0.0.1:1")).stderr).toBe(
      "The Redis at 127.0.0.1:1 failed: connect ECONNREFUSED 127.0.0.1:1. Nothing is lost: repeat the command.\n",
    );
    expect((await wrong(sharedRedisUrl(), "TEST")).stderr).toContain("environment must be one of UAT, PROD");
  });
});
