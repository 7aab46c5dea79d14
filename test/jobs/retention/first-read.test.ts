// What a complete read of a batch's results erases.
import { afterAll, beforeAll, expect, test } from "vitest";
import { findBatch, takeStep } from "../../../src/jobs/batches/batch-records.ts";
import { fileIn, newFileId, type StoredFile, writeFile } from "../../../src/jobs/files/files.ts";
import { deleteReadFile, eraseReadResults } from "../../../src/jobs/retention/first-read.ts";
import { acceptedBatch, lineOf } from "../../batches/support.ts";
import { openTestContext, type TestContext } from "../../support/jobs-context.ts";

let context: TestContext;
beforeAll(async () => {
  context = await openTestContext({});
});
afterAll(() => context.close());

/** An ended batch of three lines, of which one never became a job. */
async function endedBatch() {
  const request = await acceptedBatch(context, [lineOf("a"), lineOf("b"), lineOf("c")]);
  async function* bytes() {
    yield Buffer.from("x");
  }
  const write = (kind: string) => {
    const described = { tenant: "default", filename: `${request.id}_${kind}.jsonl`, purpose: "batch_output" as const };
    return writeFile(context, { id: newFileId(), environment: "UAT" }, bytes(), () => described);
  };
  const files = [await write("output"), await write("error")] as const;
  await takeStep(context, request, "validated", { at: 1, lines: 3, lastLine: 3, errors: [] });
  const counts = { completed: 2, failed: 1, expired: 0, cancelled: 0 };
  const usage = { input: 0, cached: 0, output: 0 };
  const [outputFileId, errorFileId] = files.map(({ id }) => id) as [string, string];
  const end = { at: 2, status: "completed" as const, counts, usage, costNanoUsd: 0, outputFileId, errorFileId };
  await takeStep(context, request, "ended", end);
  const batch = (await findBatch(context, "UAT", request.id))!;
  return { batch, files };
}

const areThere = async (files: readonly Pick<StoredFile, "id">[]) =>
  Promise.all(files.map(async ({ id }) => (await fileIn(context, "UAT", id)) !== undefined));

test("all results: every file goes", async () => {
  const { batch, files } = await endedBatch();
  await eraseReadResults(context, batch, 3);
  expect(await areThere([...files, { id: batch.request.inputFileId }])).toEqual([false, false, false]);
});

test("results without a line that never became a job: the error file stays until it is read too", async () => {
  const { batch, files } = await endedBatch();
  await eraseReadResults(context, batch, 2);
  expect(await areThere([...files, { id: batch.request.inputFileId }])).toEqual([false, true, true]);
  await deleteReadFile(context, files[1]);
  expect(await areThere([...files, { id: batch.request.inputFileId }])).toEqual([false, false, false]);
});
