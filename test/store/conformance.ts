// What every adapter of the JobStore port has to hold to. An adapter's test file calls `storeConformance` with a way to
// open an empty store that has the environments UAT and PROD.
//
// Most cases share one store, as users do: each has an era of its own, a stretch of time in which only its jobs were
// submitted and only its attempts charged, and asks for no more than that.
import { afterAll, beforeAll, describe, expect, type TestAPI, test } from "vitest";
import type { JobStore } from "../../src/store/job-store.ts";
import { attemptCases } from "./conformance/attempts.ts";
import { blobCases } from "./conformance/blobs.ts";
import { changeCases } from "./conformance/changes.ts";
import { eraseCases } from "./conformance/erase.ts";
import { firstVersionCases } from "./conformance/first-version.ts";
import { insertCases } from "./conformance/inserts.ts";
import { lineCases } from "./conformance/lines.ts";
import { listCases } from "./conformance/lists.ts";
import { modelCases } from "./conformance/model-runs.ts";
import { outcomeCases } from "./conformance/outcomes.ts";
import { recordCases } from "./conformance/records.ts";
import { scanCases } from "./conformance/scans.ts";
import { beginning, makeJob, newEra } from "./conformance/support.ts";
import { upkeepCases } from "./conformance/upkeep.ts";
import { usageCases } from "./conformance/usage.ts";

export interface OpenedStore {
  store: JobStore;
  /**
   * Closes the store and opens it again on the same data; left out if nothing outlives the store.
   * @param change gives the environments that it is opened with from the ones that it had at first
   */
  reopen?(change?: (environments: Environments) => Environments): Promise<JobStore>;
  /** Closes the store and removes its data. */
  cleanup(): Promise<void>;
}

/** By name. */
type Environments = Record<string, { database: string }>;

/** The cases of each operation. */
const groups: [operations: string, cases: (store: () => JobStore, test: TestAPI) => void][] = [
  ["insertMany, get, getRequests", insertCases],
  ["beginAttempt, endAttempt", attemptCases],
  ["finish", outcomeCases],
  ["eraseTexts", eraseCases],
  ["data of the first version", firstVersionCases],
  ["list", listCases],
  ["unfinished, attemptsSince", scanCases],
  ["lines, countLines", lineCases],
  ["remove, update", changeCases],
  ["usage", usageCases],
  ["ended, removeAttempts, removeUsage, size, reclaim", upkeepCases],
  ["records", recordCases],
  ["blobs", blobCases],
  ["checkpoints", checkpointCases],
];

/** Opens one store for all cases of the surrounding suite. */
function shareStore(open: () => Promise<OpenedStore>): () => JobStore {
  let opened: OpenedStore;
  beforeAll(async () => {
    opened = await open();
  });
  afterAll(() => opened?.cleanup());
  return () => opened.store;
}

/** Runs one case of each operation: enough to see quickly whether an adapter works at all. */
export function storeOperations(name: string, open: () => Promise<OpenedStore>): void {
  describe(name, () => {
    const store = shareStore(open);
    for (const [operations, cases] of groups) describe(operations, () => cases(store, firstCase()));
  });
}

/** A `test` that declares the first case that it is given and ignores the others. */
function firstCase(): TestAPI {
  let declared = false;
  const declare = (...args: Parameters<TestAPI>) => {
    if (!declared) test(...args);
    declared = true;
  };
  return Object.assign(declare, { each: () => () => {} }) as unknown as TestAPI;
}

export function storeConformance(name: string, open: () => Promise<OpenedStore>): void {
  describe(name, () => {
    const store = shareStore(open);
    for (const [operations, cases] of groups) describe(operations, () => cases(store, test));

    // In a store of its own: a server without proper indexes (FerretDB) would read the documents of all cases above for
    // each of its thousands of pages.
    describe("against a model", () => modelCases(shareStore(open), test));

    // In a store of its own, for the same reason.
    test("a call with thousands of jobs is one insert beside small ones", async () => {
      const opened = await open();
      try {
        const many = Array.from({ length: 5_000 }, () => makeJob());
        const [small, large, after] = await Promise.all([
          opened.store.insertMany([makeJob()]),
          opened.store.insertMany(many),
          opened.store.insertMany([many[0]!]),
        ]);
        expect(small).toEqual(["inserted"]);
        // Which of the two that share a job came first is left open.
        expect([...large, ...after].filter((a) => a === "inserted")).toHaveLength(5_000);
      } finally {
        await opened.cleanup();
      }
    });

    test("F15: unfinished jobs of a renamed database or environment are found", async () => {
      const opened = await open();
      try {
        const done = makeJob({ environment: "PROD" });
        await opened.store.insertMany([makeJob(), makeJob(), makeJob({ environment: "PROD" }), done]);
        const outcome = { jobId: done.id, status: "cancelled" as const, at: 1 };
        await opened.store.finish("PROD", outcome);
        expect(await opened.store.leftBehind()).toEqual([]);
        const names = { UAT: "", PROD: "" };
        const renamed = await opened.reopen!((environments) => {
          names.UAT = environments.UAT!.database;
          names.PROD = environments.PROD!.database;
          // The one has another database, the other another name.
          return { UAT: { database: `${names.UAT}-new` }, LIVE: environments.PROD! };
        });
        const found = [
          { database: names.UAT, environment: "UAT", jobs: 2 },
          { database: names.PROD, environment: "PROD", jobs: 1 },
        ];
        expect(await renamed.leftBehind()).toHaveLength(2);
        expect(await renamed.leftBehind()).toEqual(expect.arrayContaining(found));
        await renamed.insertMany([makeJob(), makeJob({ environment: "LIVE" })]);
        expect(await renamed.leftBehind()).toHaveLength(2);
        const back = await opened.reopen!();
        const left = (await back.leftBehind()).map(({ environment }) => environment);
        expect(left.sort()).toEqual(["LIVE", "UAT"]);
      } finally {
        await opened.cleanup();
      }
    });

    test("everything that was acknowledged is there after reopening", async (context) => {
      const opened = await open();
      try {
        if (!opened.reopen) return context.skip();
        const era = newEra();
        const [ended, running, waiting] = [0, 1, 2].map((i) => makeJob({ submittedAt: era.from + i }));
        await opened.store.insertMany([ended!, running!, waiting!]);
        await opened.store.beginAttempt(beginning(ended!));
        await opened.store.finish(
          "UAT",
          { jobId: ended!.id, status: "completed", at: era.from, text: "An answer." },
          { n: 1, end: { result: "completed", at: era.from } },
        );
        await opened.store.beginAttempt(beginning(running!, { grant: "g" }));
        await opened.store.saveCheckpoint("limits", { some: 1 });
        const seen = async (store: JobStore) => [
          await Promise.all([ended!, running!, waiting!].map((job) => store.get(job.id))),
          await store.list({ limit: 10 }),
          await store.unfinished({ limit: 10 }),
          await store.attemptsSince({ chargedFrom: 0, limit: 10 }),
          await store.counts(),
          await store.loadCheckpoint("limits"),
        ];
        const before = await seen(opened.store);
        const after = await opened.reopen();
        expect(await seen(after)).toEqual(before);
        expect(await after.insertMany([ended!])).toEqual(["exists"]);
        const repeated = await after.beginAttempt(beginning(running!, { grant: "g" }));
        expect(repeated).toMatchObject({ status: "begun", attempt: { n: 1 } });
      } finally {
        await opened.cleanup();
      }
    });

    test("closing answers what was asked before, and refuses what is asked after", async () => {
      const opened = await open();
      const job = makeJob();
      const known = makeJob();
      await opened.store.insertMany([known]);
      const asked = Promise.all([opened.store.insertMany([job]), opened.store.get(known.id)]);
      const closed = Promise.all([opened.store.close(), opened.store.close()]);
      expect(await asked).toEqual([["inserted"], { job: known, state: "queued", attempts: [] }]);
      await closed;
      await expect(opened.store.insertMany([job])).rejects.toMatchObject({ code: "unavailable" });
      await expect(opened.store.get(job.id)).rejects.toMatchObject({ code: "unavailable" });
      await expect(opened.store.ping()).rejects.toMatchObject({ code: "unavailable" });
      await opened.cleanup();
    });
  });
}

function checkpointCases(store: () => JobStore, test: TestAPI): void {
  test("a name that was never saved gives undefined", async () => {
    expect(await store().loadCheckpoint("never")).toBeUndefined();
  });

  test("the last write wins, whatever the value", async () => {
    for (const value of [{ limit: 3, quotas: [1, 2.5, null] }, "text", 0, false, null, [], "\u0000 and 日本"]) {
      await store().saveCheckpoint("some", value);
      expect(await store().loadCheckpoint("some")).toEqual(value);
    }
  });

  test("names do not mix, and a ping changes none", async () => {
    await store().saveCheckpoint("a", 1);
    await store().saveCheckpoint("b", 2);
    await store().ping();
    expect([await store().loadCheckpoint("a"), await store().loadCheckpoint("b")]).toEqual([1, 2]);
  });
}
