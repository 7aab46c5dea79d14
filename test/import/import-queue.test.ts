// Taking over the old service's queue: a real Redis, a real store, and kills in the middle.

import { randomUUID } from "node:crypto";
import fc from "fast-check";
import { Redis } from "ioredis";
import { beforeAll, describe, expect, onTestFinished } from "vitest";
import type { JobRecord } from "../../src/domain/job.ts";
import { canonicalPart } from "../../src/domain/request.ts";
import { type ImportContext, type ImportCounts, importQueue, type OldQueue } from "../../src/import/import-queue.ts";
import { openRedisList } from "../../src/import/redis-list.ts";
import { test } from "../support/fixtures.ts";
import type { TestContext } from "../support/jobs-context.ts";
import { sharedRedisUrl, withoutRedis } from "../support/servers.ts";

let context: TestContext;
let redis: Redis;
test.beforeAll(async ({ shareContext }) => {
  context = await shareContext();
});

describe.skipIf(withoutRedis())("importing the old queue", () => {
  beforeAll(() => {
    redis = new Redis(sharedRedisUrl());
    return () => redis.disconnect();
  });

  interface OldList {
    key: string;
    queue: OldQueue;
    /** Puts an id at the tail, and its hash, as the old service did. */
    push(id: string, hash?: Record<string, string>): Promise<string>;
    ids(): Promise<string[]>;
  }

  async function oldList(): Promise<OldList> {
    const key = `prompt_queue:${randomUUID()}`;
    const queue = await openRedisList(sharedRedisUrl(), key);
    onTestFinished(() => queue.close());
    return {
      key,
      queue,
      async push(id, hash) {
        await redis.rpush(key, id);
        if (hash) await redis.hset(`job:${id}`, hash);
        return id;
      },
      ids: () => redis.lrange(key, 0, -1),
    };
  }

  const waiting = (prompt: string) => ({ prompt, status: "queued" });

  interface Report {
    counts: Omit<ImportCounts, "found">;
    left: Record<string, string>;
  }

  async function run(
    queue: OldQueue,
    options: { dryRun?: boolean; from?: Partial<ImportContext> } = {},
  ): Promise<Report> {
    const left: Record<string, string> = {};
    const { found: _, ...counts } = await importQueue({ ...context, ...options.from }, queue, {
      environment: "UAT",
      dryRun: options.dryRun ?? false,
      onLeft: (id, why) => {
        left[id] = why;
      },
      onProgress: () => {},
    });
    return { counts, left };
  }

  const jobs = (ids: string[]) => Promise.all(ids.map((id) => context.store.get(id)));
  const promptOf = (record: JobRecord | undefined) =>
    record && canonicalPart(record.job.request).messages[0]?.content[0];

  test("takes over every prompt, under its id and in its order", async () => {
    const list = await oldList();
    const ids: string[] = [];
    // More than one page.
    for (let i = 0; i < 250; i++) ids.push(await list.push(randomUUID(), waiting(`prompt ${i} é`)));
    expect(await run(list.queue)).toEqual({ counts: { imported: 250, existing: 0, left: 0 }, left: {} });
    expect(await list.ids()).toEqual([]);
    const stored = await jobs(ids);
    expect(stored.map(promptOf)).toEqual(ids.map((_, i) => ({ type: "text", text: `prompt ${i} é` })));
    expect(new Set(stored.map((record) => record?.job.environment))).toEqual(new Set(["UAT"]));
    expect(new Set(stored.map((record) => record?.state))).toEqual(new Set(["queued"]));
    const times = stored.map((record) => record!.job.submittedAt);
    expect(times).toEqual([...new Set(times)].sort((a, b) => a - b));
  });

  test("names what cannot be imported and leaves it, in its place", async () => {
    const list = await oldList();
    const [noHash, noPrompt, blank, ended, long, costly, wrong, good] = Array.from({ length: 8 }, () => randomUUID());
    await list.push("not-an-id", waiting("a"));
    await list.push(noHash!);
    await list.push(noPrompt!, { status: "queued" });
    await list.push(blank!, waiting("  \n "));
    await list.push(good!, waiting("a prompt"));
    await list.push(ended!, { prompt: "a", status: "completed" });
    await list.push(long!, waiting("x".repeat(context.settings.limits.maxPromptBytes + 1)));
    await list.push(costly!, waiting("word ".repeat(30_000)));
    await list.push(wrong!);
    await redis.set(`job:${wrong}`, "a string");

    const { counts, left } = await run(list.queue);
    expect(counts).toEqual({ imported: 1, existing: 0, left: 8 });
    expect(left).toEqual({
      "not-an-id": "is not a UUID",
      [noHash!]: "has no prompt",
      [noPrompt!]: "has no prompt",
      [blank!]: expect.stringContaining("is refused: invalid_request: prompt must not be empty"),
      [ended!]: "has ended: its hash says completed",
      [long!]: expect.stringContaining("bytes; allowed: at most"),
      [costly!]: expect.stringMatching(/is refused: exceeds_quota: .*20000 per minute/),
      [wrong!]: "has no prompt",
    });
    expect(await list.ids()).toEqual(["not-an-id", noHash, noPrompt, blank, ended, long, costly, wrong]);
    // Nothing of it was stored.
    expect(await jobs([noHash!, blank!, ended!, costly!])).toEqual([undefined, undefined, undefined, undefined]);
    // The prompt that came after its id is there by now.
    await redis.hset(`job:${noHash}`, waiting("late"));
    expect((await run(list.queue)).counts).toEqual({ imported: 1, existing: 0, left: 7 });
  });

  test("an id that stands in the list twice, or is stored already, is one job", async () => {
    const list = await oldList();
    const id = await list.push(randomUUID(), waiting("once"));
    for (let i = 0; i < 150; i++) await list.push(randomUUID(), waiting("between"));
    await list.push(id);
    await list.push(id.toUpperCase());
    expect((await run(list.queue, { dryRun: true })).counts).toEqual({ imported: 151, existing: 2, left: 0 });
    expect((await run(list.queue)).counts).toEqual({ imported: 151, existing: 2, left: 0 });
    await list.push(id);
    // Completed by now, and its hash says so.
    await context.end(id, { status: "cancelled" });
    await redis.hset(`job:${id}`, { status: "completed" });
    expect((await run(list.queue)).counts).toEqual({ imported: 0, existing: 1, left: 0 });
    expect(await list.ids()).toEqual([]);
    expect((await context.store.get(id))?.state).toBe("cancelled");
  });

  test("a dry run changes nothing", async () => {
    const list = await oldList();
    const [good, bad] = [await list.push(randomUUID(), waiting("a")), await list.push(randomUUID())];
    expect((await run(list.queue, { dryRun: true })).counts).toEqual({ imported: 1, existing: 0, left: 1 });
    expect(await list.ids()).toEqual([good, bad]);
    expect(await context.store.get(good)).toBeUndefined();
  });

  test("an unknown environment is refused before anything is read", async () => {
    const list = await oldList();
    const options = { environment: "TEST", dryRun: false, onLeft: () => {}, onProgress: () => {} };
    await expect(importQueue(context, list.queue, options)).rejects.toMatchObject({ code: "unknown_environment" });
  });

  test("killed anywhere and repeated: every prompt becomes exactly one job, and the list ends empty", async () => {
    /** Fails before or after what it does, as if the process had died there. */
    const dying = (steps: number) => {
      let left = steps;
      return <T extends unknown[], R>(operation: (...args: T) => Promise<R>) =>
        async (...args: T): Promise<R> => {
          if (left-- === 0) throw new Error("killed");
          const result = await operation(...args);
          if (left-- === 0) throw new Error("killed");
          return result;
        };
    };
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 230 }),
        fc.array(fc.nat(30), { maxLength: 6 }),
        fc.boolean(),
        async (size, kills, rotated) => {
          const list = await oldList();
          const ids = Array.from({ length: size }, () => randomUUID());
          await redis.pipeline(ids.map((id) => ["hset", `job:${id}`, "prompt", `of ${id}`, "status", "queued"])).exec();
          if (size > 0) await redis.rpush(list.key, ...ids);
          if (rotated && size > 0) await redis.rpush(list.key, ids[0]!);
          for (const steps of kills) {
            const mortal = dying(steps);
            const { length, ids: read, read: hashes, remove } = list.queue;
            const queue = { length: mortal(length), ids: mortal(read), read: mortal(hashes), remove: mortal(remove) };
            const store = { get: context.store.get, insertMany: mortal(context.store.insertMany) };
            await run(queue, { from: { store } }).catch((error) => expect(error.message).toBe("killed"));
          }
          const stillListed = await list.ids();
          const missing = ids.filter((id) => !stillListed.includes(id));
          expect((await jobs(missing)).map(promptOf)).toEqual(
            missing.map((id) => ({ type: "text", text: `of ${id}` })),
          );
          await run(list.queue);
          expect(await list.ids()).toEqual([]);
          expect((await jobs(ids)).map(promptOf)).toEqual(ids.map((id) => ({ type: "text", text: `of ${id}` })));
        },
      ),
      { numRuns: 25 },
    );
  });

  test("a Redis that is not there is named, without its password", async () => {
    await expect(openRedisList("redis://me:pass-word@127.0.0.1:1", "prompt_queue")).rejects.toMatchObject({
      name: "RedisListError",
      message: expect.stringMatching(/^The Redis at 127.0.0.1:1 failed: .*ECONNREFUSED/),
    });
    const withPassword = sharedRedisUrl().replace("redis://", "redis://someone:pass-word@");
    const error = await openRedisList(withPassword, "prompt_queue").catch((e: Error) => e);
    expect(error).toMatchObject({ name: "RedisListError", message: expect.stringContaining("WRONGPASS") });
    expect(JSON.stringify(error) + String(error)).not.toContain("pass-word");
  });
});
