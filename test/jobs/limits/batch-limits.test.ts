// What is set aside for a batch as a whole: every line of it counts exactly once, whatever becomes of it and of the process.
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { type BatchRequest, lineJobId, newBatchId } from "../../../src/domain/batch.ts";
import { newJobId } from "../../../src/domain/ids.ts";
import type { Job } from "../../../src/domain/job.ts";
import { insertBatch, takeStep } from "../../../src/jobs/batches/batch-records.ts";
import { Limits } from "../../../src/jobs/limits/limits.ts";
import { openTestContext, type TestContext, templateJob } from "../../support/jobs-context.ts";

let context: TestContext;
let template: Job;
beforeAll(async () => {
  context = await openTestContext();
  template = { ...(await templateJob(context)), tokens: { input: 10, output: 0 } };
});
afterEach(() => void vi.restoreAllMocks());
afterAll(() => context.close());

const maxWaiting = 100;
const newKey = () => newJobId().replaceAll("-", "");
const open = (keyId: string, settings = context.settings) =>
  new Limits({ ...context, settings, keys: { limitsOf: () => ({ maxWaiting }), limited: [keyId] } });
const totalOf = (jobs: number) => ({ jobs, tokens: 10 * jobs, nanoUsd: 0 });

async function newBatch(keyId: string): Promise<BatchRequest> {
  const now = Date.now();
  const request = { id: newBatchId(), environment: "UAT", tenant: "t", keyId, endpoint: "/v1/chat/completions" };
  const rest = { inputFileId: "file-x", completionWindow: "24h", createdAt: now, expiresAt: now + 86_400_000 };
  return insertBatch(context, { ...request, ...rest });
}

const lineJob = ({ id, keyId }: BatchRequest, line: number): Job => ({
  ...template,
  id: lineJobId(id, line),
  batchId: id,
  ...(keyId !== undefined && { keyId }),
});

/** How many jobs the key has set aside, as it tells who asks for too much. */
async function setAside(limits: Limits, keyId: string): Promise<number> {
  const error = await limits.check({ keyId, total: totalOf(maxWaiting + 1) }).catch((thrown: Error) => thrown);
  return Number(/; it has (\d+) now/.exec(String(error))?.[1]);
}

const step = fc.oneof(
  fc.record({
    do: fc.constantFrom("reserve" as const, "end" as const, "fail" as const),
    line: fc.integer({ min: 1, max: 8 }),
  }),
  fc.record({ do: fc.constantFrom("restart" as const, "repeat" as const, "tidy" as const), line: fc.constant(0) }),
);

test("a line counts once, with its batch or by itself, until it has ended", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40 }), async (steps) => {
      const keyId = newKey();
      const batch = await newBatch(keyId);
      let subject = open(keyId);
      await subject.reserve({ ...batch, total: totalOf(8) });
      const reserved = new Set<number>();
      const ended = new Set<number>();
      for (const { do: what, line } of steps) {
        const job = lineJob(batch, line);
        if (what === "restart") subject = open(keyId);
        else if (what === "repeat") await subject.reserve({ ...batch, total: totalOf(8) });
        else if (what === "tidy") await subject.tidy();
        else if (what === "reserve") {
          await subject.reserve([job]);
          subject.commit([job]);
          reserved.add(line);
        } else if (what === "fail" && !reserved.has(line)) {
          await subject.reserve([job]);
          await subject.release([job]);
        } else if (what === "end" && reserved.has(line)) {
          await subject.ended("UAT", job.id, { outcome: { jobId: job.id, status: "cancelled", at: Date.now() } });
          ended.add(line);
        }
        expect(await setAside(subject, keyId)).toBe(8 - ended.size);
      }
      await takeStep(context, batch, "submitted", { at: Date.now(), refused: 0 });
      await open(keyId).tidy();
      const after = open(keyId);
      expect(await setAside(after, keyId)).toBe(reserved.size - ended.size);
    }),
    { numRuns: 25 },
  );
});

test.each(["submitted", "cancelled", "validated"] as const)(
  "what a process set aside before it died is given back by another when the batch is %s",
  async (taken) => {
    const keyId = newKey();
    const batch = await newBatch(keyId);
    await open(keyId).reserve({ ...batch, total: totalOf(7) });
    const other = open(keyId);
    await other.tidy();
    expect(await setAside(other, keyId)).toBe(7);
    const at = Date.now();
    if (taken === "submitted") await takeStep(context, batch, taken, { at, refused: 7 });
    else if (taken === "cancelled") await takeStep(context, batch, taken, { at });
    else await takeStep(context, batch, taken, { at, lines: 7, lastLine: 7, errors: [{ code: "x", message: "x" }] });
    await other.tidy();
    expect(await setAside(other, keyId)).toBe(0);
    expect(await setAside(open(keyId), keyId)).toBe(0);
  },
);

test("a batch whose place could not be written down keeps it, and writes it when it is repeated", async () => {
  const keyId = newKey();
  const batch = await newBatch(keyId);
  const limits = open(keyId);
  vi.spyOn(context.store.records, "insert").mockRejectedValueOnce(new Error("no"));
  await expect(limits.reserve({ ...batch, total: totalOf(60) })).rejects.toThrow("no");
  await expect(limits.reserve({ ...(await newBatch(keyId)), total: totalOf(60) })).rejects.toThrow(/it has 60 now/);
  await limits.reserve({ ...batch, total: totalOf(60) });
  expect(await setAside(open(keyId), keyId)).toBe(60);
  await limits.release(batch);
  expect(await setAside(limits, keyId)).toBe(0);
  expect(await setAside(open(keyId), keyId)).toBe(0);
});

test("what is about to be written down is not forgotten when the sums are read again meanwhile", async () => {
  const keyId = newKey();
  let now = 0;
  const clock = { now: () => now, wall: () => Date.now() };
  const settings = { ...context.settings, distributed: { mongoUrl: "", redisUrl: "" } };
  const keys = { limitsOf: () => ({ maxWaiting }), limited: [keyId] };
  const limits = new Limits({ ...context, settings, clock, keys });
  await setAside(limits, keyId);
  const { records } = context.store;
  const insert = records.insert.bind(records);
  for (const first of [
    async () => limits.reserve({ ...(await newBatch(keyId)), total: totalOf(60) }),
    () => limits.reserve(Array.from({ length: 40 }, () => ({ ...template, keyId, id: newJobId() }))),
  ]) {
    const before = await setAside(limits, keyId);
    let write = () => {};
    const mayWrite = new Promise<void>((resolve) => {
      write = resolve;
    });
    let isWriting = false;
    const spy = vi.spyOn(records, "insert").mockImplementation(async (place, written) => {
      if (place.collection !== "usage") return insert(place, written);
      isWriting = true;
      await mayWrite;
      return insert(place, written);
    });
    const writing = first();
    await vi.waitFor(() => expect(isWriting).toBe(true));
    now += 1000;
    // This is refused, looked at again with new sums, and refused again.
    const meanwhile = await setAside(limits, keyId);
    write();
    await writing;
    spy.mockRestore();
    now += 1000;
    expect(meanwhile).toBeGreaterThan(before);
    expect(await setAside(limits, keyId)).toBe(meanwhile);
  }
  expect(await setAside(limits, keyId)).toBe(100);
});

test("lines of a batch that was checked are taken in however full the service is, and keep others out until then", async () => {
  const counts = Object.values(await context.store.counts());
  const maxQueuedJobs = counts.reduce((sum, { queued }) => sum + queued, 10);
  const settings = { ...context.settings, limits: { ...context.settings.limits, maxQueuedJobs } };
  const limits = open("", settings);
  const { keyId: _, ...batch } = await newBatch("none");
  await limits.reserve({ ...batch, total: totalOf(8) });
  await expect(limits.check({ total: totalOf(3) })).rejects.toThrow(/maxQueuedJobs\); it has \d+ now/);
  const lines = (count: number) => Array.from({ length: count }, (_, i) => lineJob(batch, i + 1));
  await limits.reserve(lines(5));
  await expect(limits.check({ total: totalOf(3) })).rejects.toThrow(/maxQueuedJobs/);
  await limits.release(lines(5));
  await limits.reserve(lines(8));
  limits.commit(lines(8));
  await limits.check({ total: totalOf(2) });
  await expect(limits.check({ total: totalOf(3) })).rejects.toThrow(/maxQueuedJobs/);
  // After a restart nothing is held for it, and it might find all of the room taken by others.
  const { id: _id, ...single } = template;
  const other = open("", settings);
  await other.reserve(Array.from({ length: 10 }, () => ({ ...single, id: newJobId() })));
  await other.reserve([lineJob(batch, 1)]);
  await other.reserve({ ...batch, total: totalOf(7), resumed: true });
  await other.reserve(lines(7));
  await other.release(batch);
});
