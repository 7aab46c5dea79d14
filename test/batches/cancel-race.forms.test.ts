// A batch is cancelled while its lines start: the driver lists those that wait, calls of some of them start, and only then
// does it end them. Whichever of the two comes first on record stands: an answer that is paid for is in the output
// file, and what was cancelled is never called.
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type BatchId, lineJobId } from "../../src/domain/batch.ts";
import type { JobId } from "../../src/domain/ids.ts";
import { findBatch } from "../../src/jobs/batches/batch-records.ts";
import { cancelBatch } from "../../src/jobs/batches/batches.ts";
import { createLineCounter } from "../../src/jobs/batches/line-counter.ts";
import { keylessCaller } from "../../src/jobs/caller.ts";
import { readFile, requireFile } from "../../src/jobs/files/files.ts";
import type { JobStore } from "../../src/store/job-store.ts";
import { lineFormats } from "../../src/wire/openai/line-formats.ts";
import type { BatchContext } from "../../src/worker/batches/batch-context.ts";
import { driveBatch } from "../../src/worker/batches/drive-batch.ts";
import { describeForm } from "../support/forms.ts";
import { openTestContext, openTestStore, type TestContext, type TestStore } from "../support/jobs-context.ts";
import { openTestMongo } from "../support/mongo-store.ts";
import { acceptedBatch, endpoint } from "./support.ts";

const lineCount = 8;

async function openMongo(): Promise<TestStore> {
  const mongo = await openTestMongo();
  return { store: mongo.store, close: mongo.cleanup };
}

const stores = { embedded: { open: openTestStore, numRuns: 20 }, distributed: { open: openMongo, numRuns: 6 } };

describeForm((form) => {
  const { open, numRuns } = stores[form];
  let shared: TestStore;
  let context: TestContext;
  beforeAll(async () => {
    shared = await open();
    context = await openTestContext({}, shared);
  });
  afterAll(async () => {
    await context?.close();
    await shared?.close();
  });

  test("a line that started keeps its answer, whenever it did; the others are cancelled and never called", async () => {
    const moment = fc.constantFrom<"before" | "between" | "after">("before", "between", "after");
    await fc.assert(
      fc.asyncProperty(fc.array(moment, { minLength: lineCount, maxLength: lineCount }), async (moments) => {
        const id = await newBatch();
        const jobs = moments.map((_, i) => lineJobId(id, i + 1));
        const starting = (when: string) => jobs.filter((_, i) => moments[i] === when);
        await drive(id);
        for (const job of starting("before")) await context.begin(job);
        await cancelBatch(context, id, keylessCaller);
        await drive(id, async () => {
          for (const job of starting("between")) await context.begin(job);
        });
        for (const job of starting("after")) await expect(context.begin(job)).rejects.toThrow("ended");

        const running = jobs.filter((_, i) => moments[i] !== "after");
        for (const job of running) {
          expect((await context.store.get(job))?.state).toBe("in_progress");
          await context.end(job, { status: "completed", text: "An answer." }, { result: "completed" });
        }
        await drive(id);
        const { ended } = (await findBatch(context, "UAT", id))!.steps;
        expect(ended).toMatchObject({
          status: "cancelled",
          counts: { completed: running.length, failed: 0, expired: 0, cancelled: lineCount - running.length },
        });
        const nameOf = (job: JobId) => `line-${jobs.indexOf(job)}`;
        expect(await namesIn(ended?.outputFileId)).toEqual(running.map(nameOf));
        expect(await namesIn(ended?.errorFileId)).toEqual(starting("after").map(nameOf));
      }),
      { numRuns },
    );
  }, 60_000);

  /** A batch that nothing has been done for yet. */
  async function newBatch(): Promise<BatchId> {
    const body = { messages: [{ role: "user", content: "Hello." }] };
    const line = (i: number) => JSON.stringify({ custom_id: `line-${i}`, method: "POST", url: endpoint, body });
    const { id } = await acceptedBatch(
      context,
      Array.from({ length: lineCount }, (_, i) => `${line(i)}\n`),
    );
    return id;
  }

  /** Takes the batch as far as it goes. @param between called when the lines that wait have been listed */
  async function drive(id: BatchId, between?: () => Promise<void>): Promise<void> {
    let listed = false;
    const lines: JobStore["lines"] = async (query) => {
      const page = await context.store.lines(query);
      if (between && query.state === "queued" && !listed) {
        listed = true;
        await between();
      }
      return page;
    };
    const batchContext = { ...context, store: { ...context.store, lines }, formats: formats() };
    await driveBatch(batchContext as unknown as BatchContext, createLineCounter(context), "UAT", id, async () => {});
    if (between) expect(listed).toBe(true);
  }

  function formats() {
    return lineFormats(context.settings);
  }

  /** The custom ids in a file, in its order; none without a file. */
  async function namesIn(fileId: string | undefined): Promise<string[]> {
    if (fileId === undefined) return [];
    const chunks: Uint8Array[] = [];
    for await (const chunk of await readFile(context, await requireFile(context, fileId, keylessCaller)))
      chunks.push(chunk);
    const lines = Buffer.concat(chunks).toString().trimEnd().split("\n");
    return lines.map((line) => (JSON.parse(line) as { custom_id: string }).custom_id);
  }
});
