// The second pass over a file: two inserts are under way at a time, and of several that end in any order what is on
// record as done is done.
import { expect, onTestFinished, test } from "vitest";
import type { Job } from "../../src/domain/job.ts";
import { loadProgress } from "../../src/jobs/batches/batch-records.ts";
import type { JobStore } from "../../src/store/job-store.ts";
import { lineFormats } from "../../src/wire/openai/line-formats.ts";
import type { BatchContext } from "../../src/worker/batches/batch-context.ts";
import { submitLines } from "../../src/worker/batches/submit-lines.ts";
import { openTestContext } from "../support/jobs-context.ts";
import { batchRequestAt, endpoint } from "./support.ts";

const lines = 10_500;

async function* file(): AsyncIterable<Uint8Array> {
  const body = { messages: [{ role: "user", content: "Hello." }] };
  for (let i = 0; i < lines; i++) {
    yield Buffer.from(`${JSON.stringify({ custom_id: `request-${i}`, method: "POST", url: endpoint, body })}\n`);
  }
}

test("an insert fails while the next one, after which progress is noted, succeeds: nothing is passed over", async () => {
  const context = await openTestContext();
  onTestFinished(() => context.close());
  const request = batchRequestAt(context.clock.wall());
  const format = lineFormats(context.settings)[endpoint]!;
  const submit = async (store: JobStore) => {
    const own = { ...context, store } as unknown as BatchContext;
    const before = await loadProgress(context, request.environment, request.id);
    return submitLines(own, request, format, file(), before, async () => {});
  };

  let inserts = 0;
  let atOnce = 0;
  let most = 0;
  let tenthDone = () => {};
  const tenth = new Promise<void>((resolve) => {
    tenthDone = resolve;
  });
  const insertMany = async (jobs: readonly Job[]) => {
    const number = ++inserts;
    most = Math.max(most, ++atOnce);
    try {
      if (number === 9) {
        await tenth;
        throw new Error("The ninth insert has failed.");
      }
      return await context.store.insertMany(jobs);
    } finally {
      atOnce--;
      if (number === 10) tenthDone();
    }
  };
  const failing = new Proxy(context.store, {
    get(target, name) {
      if (name === "insertMany") return insertMany;
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });

  await expect(submit(failing)).rejects.toThrow("The ninth insert");
  expect([inserts, most, atOnce]).toEqual([10, 2, 0]);
  expect(await loadProgress(context, request.environment, request.id)).toEqual({ line: 0, refused: 0 });
  expect(await context.countJobs()).toBe(9_000);

  expect(await submit(context.store)).toEqual({ refused: 0 });
  expect(await context.countJobs()).toBe(lines);
  expect(await loadProgress(context, request.environment, request.id)).toEqual({ line: 10_000, refused: 0 });
});
