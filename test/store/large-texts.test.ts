// What large texts promise beyond the port: blobs and rows agree, whatever happens in between.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { lineJobId, newBatchId } from "../../src/domain/batch.ts";
import { SluiceError } from "../../src/domain/errors.ts";
import { isErased } from "../../src/domain/job.ts";
import type { JobStore } from "../../src/store/job-store.ts";
import { withLargeTexts } from "../../src/store/large-texts.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { beginning, makeJob } from "./conformance/support.ts";
import {
  answerOf as answer,
  large,
  largeJob,
  nativeAnswer as native,
  overlaid,
  readBlobs,
} from "./large-text-support.ts";

const environments = { UAT: { database: "SSP-dev" }, PROD: { database: "SSP-prod" } };
let earlier = new Set<string>();
const writtenWithinMs = 12 * 3_600_000;
let dataDir: string;
let inner: JobStore;
let now = Date.now();

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "sluice-large-"));
  inner = await openSqliteStore({ dataDir, environments });
});

beforeEach(() => {
  earlier = new Set(readBlobs(dataDir));
});

afterAll(async () => {
  await inner.close();
  await rm(dataDir, { recursive: true, force: true });
});

function open(store = inner, options = {}) {
  return withLargeTexts(store, { clock: { wall: () => now }, environments: Object.keys(environments), ...options });
}

/** The blobs of this test. */
function blobs(): string[] {
  return readBlobs(dataDir).filter((name) => !earlier.has(name));
}

test("a request of 256 KiB stays in its row, and one that is longer does not", async () => {
  const store = open();
  const overhead = 100;
  const [small, big] = [largeJob("x".repeat(256 * 1024 - 2 * overhead)), largeJob("x".repeat(256 * 1024))];
  await store.insertMany([small!, big!]);
  expect(blobs()).toHaveLength(1);
  expect((await inner.get(small!.id))?.job).toEqual(small);
  expect(JSON.stringify(await inner.get(big!.id)).length).toBeLessThan(2_000);
  for (const job of [small!, big!]) expect((await store.get(job.id))?.job).toEqual(job);
});

test("characters, escapes and halves of surrogate pairs come back as they were", async () => {
  const store = open();
  const job = largeJob(`\0\ud800${'日本\u2028"\\ 🐟'.repeat(30_000)}\udfff`);
  await store.insertMany([job]);
  const outcome = answer(job, { native: native(`{"a":"\0\ud800${"é".repeat(300_000)}"}`) });
  await store.finish("UAT", outcome);
  expect(await store.get(job.id)).toMatchObject({ job, outcome });
});

test("a text is whole wherever its pieces end, also within a character", async () => {
  const store = open();
  for (let shift = 0; shift < 8; shift++) {
    const job = largeJob(`${"x".repeat(shift)}${"🐟é".repeat(400_000)}`);
    await store.insertMany([job]);
    const [request] = [...(await store.getRequests("UAT", [job.id])).values()];
    // An assertion would print both.
    expect(JSON.stringify(request) === JSON.stringify(job.request)).toBe(true);
  }
});

test("the text of an answer stays in its row, where generated_texts shows it", async () => {
  const store = open();
  const job = largeJob("x");
  await store.insertMany([job]);
  await store.finish("UAT", answer(job, { text: large }));
  expect((await inner.get(job.id))?.outcome).toEqual({
    ...answer(job, { text: large }),
    native: undefined,
    textsIn: expect.any(String),
  });
  expect((await store.get(job.id))?.outcome).toEqual(answer(job, { text: large }));
});

test("callers that need no texts read no blob, and see a request that is not erased", async () => {
  const store = open();
  const job = largeJob();
  await store.insertMany([job]);
  await store.finish("UAT", answer(job));
  for (const blob of blobs()) await rm(join(dataDir, "files", blob));
  const bare = await store.get(job.id, "none");
  expect(bare?.job.request.parameters).toEqual(job.request.parameters);
  expect(isErased(bare!.job.request)).toBe(false);
  expect(JSON.stringify(bare)).not.toContain("textsIn");
  await expect(store.get(job.id)).rejects.toMatchObject({ code: "internal", message: expect.stringMatching(job.id) });
});

test.each(["toolCalls", "reasoning"] as const)("large %s go to a blob, and come back", async (part) => {
  const store = open();
  const job = largeJob("x");
  await store.insertMany([job]);
  const parts = { toolCalls: [{ id: "a", name: "f", arguments: large }], reasoning: [{ text: large }] };
  const { native: _, ...outcome } = answer(job, { [part]: parts[part] });
  await store.finish("UAT", outcome);
  expect(blobs()).toHaveLength(1);
  expect((await inner.get(job.id))?.outcome).not.toHaveProperty(part);
  expect((await store.get(job.id))?.outcome).toEqual(outcome);
  await store.eraseTexts("UAT", job.id);
  expect((await store.get(job.id))?.outcome).not.toHaveProperty(part);
  expect(blobs()).toEqual([]);
});

describe("outcomes race", () => {
  test("the first wins, the blob of the other goes, and a repetition of the first still counts as first", async () => {
    const store = open();
    const job = largeJob("x");
    await store.insertMany([job]);
    const outcomes = [answer(job), answer(job, { native: native(`${large}!`) })];
    const results = await Promise.all(outcomes.map((outcome) => store.finish("UAT", outcome)));
    const winner = outcomes[results.findIndex(({ first }) => first)]!;
    expect(results.filter(({ first }) => first)).toHaveLength(1);
    for (const { outcome } of results) expect(outcome).toEqual(winner);
    expect(blobs()).toHaveLength(1);
    expect(await store.finish("UAT", winner)).toEqual({ first: true, outcome: winner });
    expect(await store.finish("UAT", { jobId: job.id, status: "cancelled", at: 10 })).toEqual({
      first: false,
      outcome: winner,
    });
    expect(blobs()).toHaveLength(1);
    expect(await store.beginAttempt(beginning(job))).toEqual({ status: "ended", outcome: winner });
  });

  test("an end that an open attempt prevents leaves no blob", async () => {
    const store = open();
    const job = largeJob("x");
    await store.insertMany([job]);
    await store.beginAttempt(beginning(job));
    expect(await store.finishIdle("UAT", answer(job))).toBeUndefined();
    expect(blobs()).toEqual([]);
    await expect(store.finish("UAT", answer(makeJob()))).rejects.toMatchObject({ code: "job_not_found" });
    expect(blobs()).toEqual([]);
  });
});

test("a job that is inserted again keeps its first request", async () => {
  const store = open();
  const job = largeJob();
  const again = largeJob(`${large}!`, { id: job.id });
  expect(await store.insertMany([job, again, job])).toEqual(["inserted", "exists", "exists"]);
  expect((await store.get(job.id))?.job).toEqual(job);
  expect(blobs()).toHaveLength(1);
});

test("several large texts are read as many as fit into memory, and at least one", async () => {
  const store = open(inner, { readAtOnce: large.length });
  const batchId = newBatchId();
  const jobs = [1, 2, 3, 4].map((n) => largeJob(n === 1 ? "small" : large, { id: lineJobId(batchId, n) }));
  const submittedAt = jobs[0]!.submittedAt;
  await store.insertMany(jobs.map((job) => ({ ...job, submittedAt })));
  const ids = jobs.map(({ id }) => id);
  expect([...(await store.getRequests("UAT", ids)).keys()]).toEqual(ids.slice(0, 2));
  expect([...(await store.getRequests("UAT", ids.slice(3))).keys()]).toEqual(ids.slice(3));
  for (const job of jobs) await store.finish("UAT", answer(job));
  const range = { environment: "UAT", submittedAt, from: ids[0]!, to: lineJobId(batchId, 5), limit: 9 };
  const lines = await store.lines({ ...range, answers: true });
  expect(lines.map(({ outcome }) => outcome)).toEqual([answer(jobs[0]!)]);
  expect(await store.lines(range)).toHaveLength(4);
});

test.each([
  ["storage_full", "storage_full"],
  ["unavailable", "unavailable"],
  // The fate of the blob is unknown, but that of the job is not.
  ["fate_unknown", "unavailable"],
] as const)("if a blob fails with %s, nothing is written, and the error is %s", async (thrown, seen) => {
  const failing = { put: () => Promise.reject(new SluiceError(thrown, "No blob.")) };
  const blobStore = {
    ...failing,
    read: inner.blobs.read.bind(inner.blobs),
    remove: inner.blobs.remove.bind(inner.blobs),
  };
  const store = open(overlaid(inner, { blobs: blobStore }));
  const [small, big] = [largeJob("x"), largeJob()];
  await expect(store.insertMany([small!, big!])).rejects.toMatchObject({ code: seen });
  for (const { id } of [small!, big!]) expect(await inner.get(id)).toBeUndefined();
  await inner.insertMany([small!]);
  await expect(store.finish("UAT", answer(small!))).rejects.toMatchObject({ code: seen });
  expect(await inner.get(small!.id)).toMatchObject({ state: "queued" });
  const place = { collection: "files", environment: "UAT" } as const;
  expect((await inner.records.list(place, { from: "text/", to: "text0", limit: 9 })).items).toEqual([]);
});

describe("sweeps", () => {
  test("what is not in a row goes after half a day, and at once if no other process can be writing", async () => {
    const insertMany = () => Promise.reject(new SluiceError("fate_unknown", "Lost."));
    const store = open(overlaid(inner, { insertMany }));
    await expect(store.insertMany([largeJob()])).rejects.toMatchObject({ code: "fate_unknown" });
    const kept = largeJob();
    await open().insertMany([kept]);
    expect(blobs()).toHaveLength(2);
    const before = now;
    now += writtenWithinMs - 60_000;
    await open().sweepTexts();
    expect(blobs()).toHaveLength(2);
    now += 120_000;
    await open().sweepTexts();
    expect(blobs()).toHaveLength(1);
    now = before;
    await expect(store.insertMany([largeJob()])).rejects.toMatchObject({ code: "fate_unknown" });
    await open().sweepTexts(true);
    expect(blobs()).toHaveLength(1);
    expect((await open().get(kept.id))?.job).toEqual(kept);
  });
});
