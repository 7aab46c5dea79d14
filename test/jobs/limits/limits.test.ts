// The sums behind limits, against a model: any order of submits, ends (also told twice) and restarts.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { newBatchId } from "../../../src/domain/batch.ts";
import { newJobId } from "../../../src/domain/ids.ts";
import type { Job } from "../../../src/domain/job.ts";
import type { KeyLimits } from "../../../src/jobs/caller.ts";
import { Limits } from "../../../src/jobs/limits/limits.ts";
import { openSqliteStore } from "../../../src/store/sqlite/sqlite-store.ts";
import { openTestContext, type TestContext, templateJob } from "../../support/jobs-context.ts";

let context: TestContext;
let template: Job;
beforeAll(async () => {
  context = await openTestContext();
  template = await templateJob(context);
});
afterAll(() => context.close());

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("submit" as const), tokens: fc.integer({ min: 1, max: 60 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("end" as const),
      which: fc.nat(),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("restart" as const) }) },
);

const keyWith = (limits: KeyLimits) => {
  const keyId = newJobId().replaceAll("-", "");
  return { keyId, keys: { limitsOf: () => limits, limited: [keyId] } };
};

test("reads the records of earlier versions, which have no environment of their own", async () => {
  const { keyId, keys } = keyWith({ dailyTokens: 1000, maxWaiting: 100 });
  const [jobId, endedId, lineId, batchId] = [newJobId(), newJobId(), newJobId(), newBatchId()];
  const day = new Date().toISOString().slice(0, 10);
  const claim = { jobs: 1, tokens: 300, nanoUsd: 0 };
  const open = (id: string, more: object) => ({
    id: `open/${id}`,
    order: `key-open/${keyId}/${id}`,
    value: { keyId, claim, at: Date.now(), ...more },
  });
  const spent = { day, claim: { jobs: 1, tokens: 40, nanoUsd: 0 } };
  const total = { jobs: 3, tokens: 700, nanoUsd: 0 };
  await context.store.records.insert({ collection: "usage", environment: "UAT" }, [
    open(jobId, { used: { jobs: 1, tokens: 20, nanoUsd: 0 } }),
    open(lineId, { batchId }),
    { id: `spent/${endedId}`, order: `key-spent/${keyId}/${day}/${endedId}`, value: spent },
    { id: `held/${batchId}`, order: `key-held/${keyId}/${batchId}`, value: { environment: "UAT", claim: total } },
  ]);
  // The job and its lost call, its line, and two lines that are left.
  const limits = new Limits({ ...context, keys });
  await expect(limits.check({ keyId, total })).rejects.toThrow(/; 40 are used, 1020 are reserved/);
  await expect(limits.check({ keyId, total: { ...total, jobs: 98 } })).rejects.toThrow(/it has 4 now/);
  const outcome = { jobId, status: "completed" as const, at: Date.now(), usage: { input: 7, output: 0 } };
  await limits.ended("UAT", jobId, { outcome, attempts: [] });
  await limits.release({ id: batchId, environment: "UAT", keyId });
  for (const each of [limits, new Limits({ ...context, keys })]) {
    await expect(each.check({ keyId, total })).rejects.toThrow(/; 47 are used, 300 are reserved/);
  }
});

test("tells what part of each limit the keys of this process have used or reserved", async () => {
  const { keyId, keys } = keyWith({ dailyTokens: 200, maxWaiting: 4, budgetUsd: 0 });
  const limits = new Limits({ ...context, keys });
  expect(limits.usedShares()).toEqual([]);
  const job = { ...template, id: newJobId(), keyId, tokens: { input: 50, output: 0 } };
  await expect(limits.reserve([job])).rejects.toThrow(/may spend \$0/);
  const unbudgeted = new Limits({
    ...context,
    keys: { ...keys, limitsOf: () => ({ dailyTokens: 200, maxWaiting: 4 }) },
  });
  await unbudgeted.reserve([job]);
  expect(unbudgeted.usedShares()).toEqual([
    { keyId, limit: "max_waiting", ratio: 0.25 },
    { keyId, limit: "daily_tokens", ratio: 0.25 },
  ]);
  expect(limits.usedShares()).toContainEqual({ keyId, limit: "budget_usd", ratio: 1 });
});

test("a job that needs several calls reserves all of them", async () => {
  const { keyId, keys } = keyWith({ dailyTokens: 200 });
  const limits = new Limits({ ...context, keys });
  const several = { tokens: { input: 50, output: 0 }, totalTokens: { input: 150, output: 0 } };
  await limits.reserve([{ ...template, id: newJobId(), keyId, ...several }]);
  expect(limits.usedShares()).toEqual([{ keyId, limit: "daily_tokens", ratio: 0.75 }]);
});

test("a job that ends while the sums are first read counts once", async () => {
  const { keyId, keys } = keyWith({ dailyTokens: 100 });
  const job = { ...template, keyId, tokens: { input: 61, output: 0 } };
  await new Limits({ ...context, keys }).reserve([job]);
  const { records } = context.store;
  const list = records.list.bind(records);
  let goOn = () => {};
  const mayRead = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const spy = vi.spyOn(records, "list").mockImplementation(async (place, query) => {
    if (query.from?.startsWith("key-spent/")) await mayRead;
    return list(place, query);
  });
  const limits = new Limits({ ...context, keys });
  const next = { ...job, id: newJobId() };
  const refused = expect(limits.check([next])).rejects.toThrow(/; 40 are used, 0 are reserved/);
  await vi.waitFor(() => expect(spy.mock.calls.some(([, { from }]) => from?.startsWith("key-spent/"))).toBe(true));
  const outcome = { jobId: job.id, status: "completed" as const, at: Date.now(), usage: { input: 40, output: 0 } };
  const ended = limits.ended("UAT", job.id, { outcome });
  await new Promise(setImmediate);
  goOn();
  await ended;
  await refused;
  spy.mockRestore();
});

test("a job is taken exactly if what is used, set aside and asked for stays within the limits", async () => {
  let taken = 0;
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60 }), async (steps) => {
      const limits = { maxWaiting: 4, dailyTokens: 200 };
      const { keyId, keys } = keyWith(limits);
      const open = () => new Limits({ ...context, keys });
      let subject = open();
      const jobs: { job: Job; tokens: number }[] = [];
      let used = 0;
      for (const s of steps) {
        if (s.do === "restart") subject = open();
        else if (s.do === "submit") {
          const job = { ...template, id: newJobId(), keyId, tokens: { input: s.tokens, output: 0 } };
          const setAside = jobs.reduce((sum, { tokens }) => sum + tokens, 0);
          const fits = jobs.length < limits.maxWaiting && used + setAside + s.tokens <= limits.dailyTokens;
          const answer = await subject.reserve([job]).then(
            () => true,
            () => false,
          );
          expect(answer).toBe(fits);
          if (fits) jobs.push({ job, tokens: s.tokens });
          if (fits) taken++;
          else refused++;
        } else if (jobs.length > 0) {
          const [{ job, tokens }] = jobs.splice(s.which % jobs.length, 1) as [(typeof jobs)[number]];
          const input = Math.floor(tokens * s.share);
          const outcome = { jobId: job.id, status: "completed" as const, at: Date.now(), usage: { input, output: 0 } };
          await Promise.all([subject, subject, open()].map((each) => each.ended("UAT", job.id, { outcome })));
          await subject.ended("UAT", job.id, { outcome });
          used += input;
        }
      }
    }),
    { numRuns: 30 },
  );
  expect(Math.min(taken, refused)).toBeGreaterThan(40);
});

test("environments that share a database: what a job used counts once", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-limits-"));
  const environments = { UAT: { database: "SSP" }, PROD: { database: "SSP" } };
  const store = await openSqliteStore({ dataDir, environments });
  const shared = await openTestContext({}, { store, close: () => store.close() });
  onTestFinished(async () => {
    await shared.close();
    await store.close();
    await rm(dataDir, { recursive: true, force: true });
  });
  const { keyId, keys } = keyWith({ dailyTokens: 100 });
  const job = { ...(await templateJob(shared)), keyId, tokens: { input: 60, output: 0 } };
  const limits = new Limits({ ...shared, keys });
  await limits.reserve([job]);
  const outcome = { jobId: job.id, status: "completed" as const, at: Date.now(), usage: { input: 40, output: 0 } };
  await limits.ended(job.environment, job.id, { outcome });
  // Another process reads the sums from the records.
  const later = new Limits({ ...shared, keys });
  await later.check([{ ...job, id: newJobId() }]);
  await expect(later.check([{ ...job, id: newJobId(), tokens: { input: 61, output: 0 } }])).rejects.toThrow(
    /; 40 are used, 0 are reserved/,
  );
});
