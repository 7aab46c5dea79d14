// The parts of the MongoDB adapter that need no server: grouping, counting at intervals, and what errors mean.
import {
  type Db,
  type Document,
  MongoNetworkError,
  MongoServerError,
  MongoServerSelectionError,
  MongoWriteConcernError,
} from "mongodb";
import { describe, expect, test, vi } from "vitest";
import { Group } from "../../src/domain/group.ts";
import type { JobState } from "../../src/domain/job.ts";
import { CountCache } from "../../src/store/mongo/count-cache.ts";
import { fateOf, storeError } from "../../src/store/mongo/mongo-errors.ts";
import { StateCache } from "../../src/store/mongo/state-cache.ts";

describe("group commit", () => {
  function gated(limits: { maxItems: number; weigh?: (n: number) => number; maxWeight?: number }) {
    const batches: number[][] = [];
    const gates: (() => void)[] = [];
    const group = new Group<number, number>(async (items) => {
      batches.push(items);
      await new Promise<void>((resolve) => gates.push(resolve));
      return items.map((n) => (n < 0 ? new Error(`refused ${n}`) : n * 2));
    }, limits);
    const finishOne = async () => {
      while (gates.length === 0) await new Promise(setImmediate);
      gates.shift()!();
    };
    return { group, batches, finishOne };
  }

  test("all that arrives while a batch runs goes into the next one", async () => {
    const { group, batches, finishOne } = gated({ maxItems: 10 });
    const first = [group.add(1), group.add(2)];
    while (batches.length === 0) await new Promise(setImmediate);
    const second = [3, 4, 5].map((n) => group.add(n));
    await finishOne();
    expect(await Promise.all(first)).toEqual([2, 4]);
    await finishOne();
    expect(await Promise.all(second)).toEqual([6, 8, 10]);
    expect(batches).toEqual([
      [1, 2],
      [3, 4, 5],
    ]);
  });

  test("batches are bounded by number and weight; what is too heavy goes alone", async () => {
    const { group, batches, finishOne } = gated({ maxItems: 3, weigh: (n) => n, maxWeight: 10 });
    const answers = [1, 1, 1, 9, 2, 50, 1].map((n) => group.add(n));
    for (let i = 0; i < 5; i++) await finishOne();
    await Promise.all(answers);
    expect(batches).toEqual([[1, 1, 1], [9], [2], [50], [1]]);
  });

  test("an item's own error is its own", async () => {
    const { group, finishOne } = gated({ maxItems: 10 });
    const answers = Promise.allSettled([1, -1, 2].map((n) => group.add(n)));
    await finishOne();
    expect((await answers).map((a) => a.status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  });

  test("a batch that fails fails its items, and no others", async () => {
    let failing = true;
    const group = new Group<number, number>(
      async (items) => {
        if (failing) throw new Error("away");
        return items;
      },
      { maxItems: 10 },
    );
    await expect(Promise.all([group.add(1), group.add(2)])).rejects.toThrow("away");
    failing = false;
    expect(await group.add(3)).toBe(3);
  });
});

describe("counting at intervals", () => {
  function counter(jobs: number, tookMs: number) {
    const clock = { ms: 0, now: () => clock.ms, wall: () => clock.ms };
    const asked = { times: 0 };
    const cache = new CountCache(async () => {
      asked.times++;
      clock.ms += tookMs;
      return { UAT: { queued: jobs } as Record<JobState, number> };
    }, clock);
    return { clock, asked, cache };
  }

  test("few jobs are counted every time", async () => {
    const { asked, cache } = counter(9_999, 500);
    for (let i = 0; i < 5; i++) await cache.get();
    expect(asked.times).toBe(5);
  });

  test("counting many takes at most a twentieth of the time, and only the first caller waits", async () => {
    const { clock, asked, cache } = counter(1_000_000, 500);
    await cache.get();
    for (let second = 0; second < 100; second++) {
      clock.ms += 1_000;
      await cache.get();
    }
    expect(asked.times).toBeGreaterThan(5);
    expect(asked.times).toBeLessThanOrEqual(Math.ceil(100 / 10) + 1);
  });

  test("several that ask at once are one count", async () => {
    const { asked, cache } = counter(10, 1);
    await Promise.all([cache.get(), cache.get(), cache.get()]);
    expect(asked.times).toBe(1);
  });

  test("a count that failed is tried again", async () => {
    let fail = true;
    const cache = new CountCache(
      async () => {
        if (fail) throw new Error("away");
        return {};
      },
      { now: () => 0, wall: () => 0 },
    );
    await expect(cache.get()).rejects.toThrow("away");
    fail = false;
    expect(await cache.get()).toEqual({});
  });
});

describe("states cached on jobs", () => {
  const running = { state: "in_progress", ended: false } as const;
  const completed = { state: "completed", ended: true } as const;

  function cache() {
    const written: Document[][] = [];
    const gates: (() => void)[] = [];
    const command = async ({ updates }: Document) => {
      await new Promise<void>((resolve) => gates.push(resolve));
      written.push((updates as Document[]).map(({ q, u }) => ({ ...q, ...u.$set })));
      return {};
    };
    const open = async () => {
      await vi.waitFor(() => expect(gates).toHaveLength(1));
      gates.shift()!();
    };
    return { states: new StateCache({ command } as unknown as Db), written, open };
  }

  test("changes of a job that wait for the same command are one, and changes of several jobs one command", async () => {
    const { states, written, open } = cache();
    states.set("a", running).catch(() => {});
    states.set("b", running).catch(() => {});
    expect(states.stateOf("a")).toBe("in_progress");
    const ended = states.set("a", completed);
    expect(states.stateOf("a")).toBe("completed");
    await open();
    await ended;
    await states.written();
    expect(written).toEqual([
      [
        { _id: "a", ...completed },
        { _id: "b", ...running },
      ],
    ]);
    expect(states.stateOf("a")).toBeUndefined();
  });

  test("what is said while a change is written comes after it", async () => {
    const { states, written, open } = cache();
    states.set("a", running).catch(() => {});
    // Its command is under way.
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    const end = states.set("a", completed);
    expect(states.stateOf("a")).toBe("completed");
    await open();
    await open();
    await end;
    expect(written.flat().map(({ state }) => state)).toEqual(["in_progress", "completed"]);
  });
});

describe("errors", () => {
  const server = (code: number, message = "x") => new MongoServerError({ message, code });
  test.each([
    ["no server found", new MongoServerSelectionError("x", {} as never), "unavailable"],
    ["refused while connecting", new MongoNetworkError("x", { cause: systemError("connect") }), "not_applied"],
    ["broken under way", new MongoNetworkError("x", { cause: systemError("read") }), "unknown"],
    ["not the primary", server(10107), "not_applied"],
    ["stepped down meanwhile", server(189), "unknown"],
    ["shutting down", server(11600), "unknown"],
    ["no majority in time", writeConcernError(), "unknown"],
    ["anything else the server says", server(2), "refused"],
    ["a mistake of ours", new TypeError("x"), "refused"],
  ])("%s", (_, error, fate) => {
    expect(fateOf(error)).toBe(fate);
  });

  test("a full disk has a code of its own, however it is said", () => {
    expect(storeError(server(14031))).toMatchObject({ code: "storage_full" });
    expect(storeError(server(1, "database or disk is full (13)"))).toMatchObject({ code: "storage_full" });
    expect(storeError(server(13))).toMatchObject({ code: "unavailable" });
    expect(storeError(server(2))).toMatchObject({ code: "internal" });
  });

  function systemError(syscall: string): Error {
    return Object.assign(new Error("x"), { syscall });
  }
  function writeConcernError(): Error {
    const result = { ok: 1, writeConcernError: { code: 64, errmsg: "waiting for replication timed out" } };
    return new MongoWriteConcernError(result as never);
  }
});
