// What is laid ready while a file is checked becomes the same jobs as a second reading would make, whatever fails or stops
// on the way.
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type BatchRequest, lineJobId } from "../../src/domain/batch.ts";
import { findBatch, loadProgress } from "../../src/jobs/batches/batch-records.ts";
import { lineRange } from "../../src/jobs/batches/batch-results.ts";
import { createLineCounter } from "../../src/jobs/batches/line-counter.ts";
import { validateLines } from "../../src/jobs/batches/validate-lines.ts";
import type { QueueEntry } from "../../src/scheduler/scheduler.ts";
import type { JobStore, StagedJobs } from "../../src/store/job-store.ts";
import { lineFormats } from "../../src/wire/openai/line-formats.ts";
import type { BatchContext } from "../../src/worker/batches/batch-context.ts";
import { chunksOfFile, preparedChunks } from "../../src/worker/batches/chunks.ts";
import { driveBatch } from "../../src/worker/batches/drive-batch.ts";
import { PreparedLines } from "../../src/worker/batches/prepared-lines.ts";
import { submitLines } from "../../src/worker/batches/submit-lines.ts";
import { openTestContext, type TestContext } from "../support/jobs-context.ts";
import { acceptedBatch, batchRequestAt, endpoint } from "./support.ts";

let context: TestContext;
beforeAll(async () => {
  context = await openTestContext();
});
afterAll(() => context?.close());

const newRequest = () => batchRequestAt(context.clock.wall());

/** A number of lines, blank ones among them, some in models of their own and with parameters. */
const file = fc
  .array(
    fc.record({
      blank: fc.boolean(),
      content: fc.string({ unit: "grapheme", minLength: 1, maxLength: 30 }).filter((text) => text.trim() !== ""),
      model: fc.constantFrom("llama3-3-70b", "nova-lite"),
      more: fc.constantFrom(
        {},
        { temperature: 0.5 },
        { metadata: { a: "b" }, max_tokens: 7 },
        { priority: "standard" },
        { fallback_models: ["nova-lite"] },
        { regions: ["us-east-1", "eu-west-1"] },
      ),
    }),
    { minLength: 1, maxLength: 12 },
  )
  .map((lines) =>
    lines.map(({ blank, content, model, more }, i) => {
      const body = { model, messages: [{ role: "user", content }], ...more };
      const line = JSON.stringify({ custom_id: `request-${i}`, method: "POST", url: endpoint, body });
      return blank ? `\r\n${line}\r\n` : `${line}\n`;
    }),
  );

async function* bytesOf(lines: readonly string[]): AsyncIterable<Uint8Array> {
  for (const line of lines) yield Buffer.from(line);
}

async function prepare(request: BatchRequest, lines: readonly string[], store: JobStore = context.store) {
  const own = { ...context, store } as unknown as BatchContext;
  const format = lineFormats(context.settings)[endpoint]!;
  const prepared = PreparedLines.of(own, request)!;
  const found = await validateLines(own, request, format, bytesOf(lines), undefined, (job, line) =>
    prepared.add(job, line),
  );
  return { own, format, prepared, found };
}

async function jobsOf(request: BatchRequest, lastLine: number) {
  const ids = Array.from({ length: lastLine }, (_, i) => lineJobId(request.id, i + 1));
  const found = await Promise.all(ids.map((id) => context.store.get(id)));
  return found
    .filter((record) => record !== undefined)
    .map(({ job }) => ({ ...job, id: undefined, batchId: undefined }));
}

const none = { line: 0, refused: 0 };

test("both ways make the same jobs, and put them into the queue", async () => {
  await fc.assert(
    fc.asyncProperty(file, async (lines) => {
      const requests = [newRequest(), newRequest()] as const;
      requests[1].createdAt = requests[0].createdAt;
      requests[1].expiresAt = requests[0].expiresAt;
      const { own, format, prepared, found } = await prepare(requests[0], lines);
      expect(found).toMatchObject({ lines: lines.length, errors: [] });
      expect(await prepared.areReady()).toBe(true);
      const queued: Omit<QueueEntry, "jobId">[] = [];
      const scheduler = {
        enqueue: async (entries: readonly QueueEntry[]) =>
          void queued.push(...entries.map(({ jobId, ...entry }) => entry)),
      };
      const watched = { ...own, scheduler } as unknown as BatchContext;
      const run = (request: BatchRequest, chunks: Parameters<typeof submitLines>[3]) =>
        submitLines(watched, { request, steps: {} }, none, chunks, async () => {});
      expect(await run(requests[0], preparedChunks(watched, prepared))).toEqual({ refused: 0 });
      await prepared.drop();
      await run(requests[1], chunksOfFile(watched, requests[1], format, bytesOf(lines), none));

      const [made, read] = await Promise.all(requests.map((request) => jobsOf(request, found.lastLine)));
      expect(made).toHaveLength(lines.length);
      expect(made).toEqual(read);
      expect(queued).toHaveLength(2 * lines.length);
      expect(queued.slice(lines.length)).toEqual(queued.slice(0, lines.length));
    }),
    { numRuns: 30 },
  );
});

const manyLines = Array.from({ length: 24_500 }, (_, i) => {
  const body = { messages: [{ role: "user", content: "Hello." }] };
  return `${JSON.stringify({ custom_id: `request-${i}`, method: "POST", url: endpoint, body })}\n`;
});

test("stopped in the middle, it is gone on with from the file, and every line has one job", async () => {
  const request = newRequest();
  const { own, format, prepared } = await prepare(request, manyLines);
  expect(await prepared.areReady()).toBe(true);
  const inserted = await context.countJobs();
  let chunks = 0;
  const stopped = submitLines(own, { request, steps: {} }, none, preparedChunks(own, prepared), async () => {
    if (++chunks === 12) throw new Error("stopped");
  });
  await expect(stopped).rejects.toThrow("stopped");
  await prepared.drop();
  expect((await context.countJobs()) - inserted).toBe(22_000);
  const before = await loadProgress(context, request.environment, request.id);
  expect(before).toEqual({ line: 20_000, refused: 0 });
  const rest = chunksOfFile(own, request, format, bytesOf(manyLines), before);
  expect(await submitLines(own, { request, steps: {} }, before, rest, async () => {})).toEqual({ refused: 0 });
  expect((await context.countJobs()) - inserted).toBe(manyLines.length);
});

test("a store that fails to lay ready is told of, and none of it becomes a job", async () => {
  const request = newRequest();
  const full = {
    ...context.store,
    stage: (environment: string) => {
      const staged = context.store.stage!(environment);
      return {
        ...staged,
        add: () => undefined,
        ready: () => Promise.reject(new Error("full")),
        drop: () => staged.drop(),
      };
    },
  };
  const { prepared, found } = await prepare(request, manyLines.slice(0, 3), full as unknown as JobStore);
  expect(found.errors).toEqual([]);
  expect(await prepared.areReady()).toBe(false);
  await prepared.drop();
  expect(await jobsOf(request, 3)).toEqual([]);
});

test("nothing is laid ready behind a mistake, nor where each job has to be looked at", async () => {
  const request = newRequest();
  const { prepared, found } = await prepare(request, [manyLines[0]!, "{}\n", manyLines[1]!]);
  expect(found.errors).toHaveLength(1);
  expect([prepared.queued.size, prepared.queued.lineAt(0)]).toEqual([1, 1]);
  await prepared.drop();
  const limited = { ...context, limits: { keys: { limitsOf: () => ({}) } } };
  expect(PreparedLines.of(limited as unknown as BatchContext, { ...request, keyId: "k" })).toBeUndefined();
  expect(PreparedLines.of({ ...context, onAccepted: () => {} }, request)).toBeUndefined();
});

describe("whatever the store does, every line has one job in the end", () => {
  const stage = (failing: Partial<StagedJobs>) => (environment: string) => {
    const staged = context.store.stage!(environment);
    const own: StagedJobs = {
      add: (job) => staged.add(job),
      ready: () => staged.ready(),
      insert: (count) => staged.insert(count),
      drop: () => staged.drop(),
    };
    return { ...own, ...failing };
  };
  const failed = () => Promise.reject(new Error("The store has failed."));

  test.each<{ name: string; store: () => Partial<JobStore>; reads: number; drives: number }>([
    { name: "lays them ready: the file is read once", store: () => ({}), reads: 1, drives: 1 },
    { name: "cannot", store: () => ({ stage: undefined }), reads: 2, drives: 1 },
    { name: "fails to", store: () => ({ stage: stage({ ready: failed }) }), reads: 2, drives: 1 },
    {
      name: "does, and cannot make them real",
      store: () => ({ stage: stage({ insert: failed }) }),
      reads: 2,
      drives: 2,
    },
  ])("$name", async ({ store, reads, drives }) => {
    const lines = manyLines.slice(0, 4_100);
    const request = await acceptedBatch(context, lines);
    const formats = lineFormats(context.settings);
    let read = 0;
    const { blobs } = context.store;
    const counting = new Proxy(blobs, {
      get(target, name) {
        if (name === "read") read++;
        const value = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    const own = {
      ...context,
      formats,
      store: { ...context.store, blobs: counting, ...store() },
    } as unknown as BatchContext;
    const drive = () => driveBatch(own, createLineCounter(own), "UAT", request.id, async () => {});
    for (let i = 1; i < drives; i++) await expect(drive()).rejects.toThrow("The store has failed.");
    await drive();
    const { steps } = (await findBatch(context, "UAT", request.id))!;
    expect(steps).toMatchObject({ validated: { lines: 4_100, errors: [] }, submitted: { refused: 0 } });
    expect((await context.store.countLines(lineRange(request))).queued).toBe(4_100);
    expect(read).toBe(reads);
  });
});
