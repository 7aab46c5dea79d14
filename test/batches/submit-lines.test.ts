// The second pass over a file: several inserts are under way at a time. Progress is noted only when everything before it is
// stored, in whatever order the inserts end.
import { expect, onTestFinished, test } from "vitest";
import type { Job } from "../../src/domain/job.ts";
import { loadProgress } from "../../src/jobs/batches/batch-records.ts";
import type { JobStore } from "../../src/store/job-store.ts";
import { lineFormats } from "../../src/wire/openai/line-formats.ts";
import type { BatchContext } from "../../src/worker/batches/batch-context.ts";
import { submitLines } from "../../src/worker/batches/submit-lines.ts";
import { overlaid } from "../store/large-text-support.ts";
import { openTestContext } from "../support/jobs-context.ts";
import { batchRequestAt, endpoint } from "./support.ts";

const lines = 10_250;

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
  const format = lineFormats(context.settings).of(endpoint)!;
  const submit = async (store: JobStore) => {
    const own = { ...context, store } as unknown as BatchContext;
    const before = await loadProgress(context, request.environment, request.id);
    return submitLines(own, request, format, file(), before, async () => {});
  };

  let inserts = 0;
  let atOnce = 0;
  let most = 0;
  let twentiethDone = () => {};
  const twentieth = new Promise<void>((resolve) => {
    twentiethDone = resolve;
  });
  const insertMany = async (jobs: readonly Job[]) => {
    const number = ++inserts;
    most = Math.max(most, ++atOnce);
    try {
      if (number === 19) {
        await twentieth;
        throw new Error("The 19th insert has failed.");
      }
      return await context.store.insertMany(jobs);
    } finally {
      atOnce--;
      if (number === 20) twentiethDone();
    }
  };
  const failing = new Proxy(context.store, {
    get(target, name) {
      if (name === "insertMany") return insertMany;
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });

  await expect(submit(failing)).rejects.toThrow("The 19th insert");
  expect([inserts, atOnce]).toEqual([21, 0]);
  expect(most).toBeLessThanOrEqual(4);
  expect(await loadProgress(context, request.environment, request.id)).toEqual({ line: 0, refused: 0 });
  expect(await context.countJobs()).toBe(9_750);

  expect(await submit(context.store)).toEqual({ refused: 0 });
  expect(await context.countJobs()).toBe(lines);
  expect(await loadProgress(context, request.environment, request.id)).toEqual({ line: 10_000, refused: 0 });
});

const models = {
  llama: {
    contextTokens: 1_000_000,
    deployments: [
      {
        region: "us-east-1",
        modelId: "us.meta.llama3-3-70b-instruct-v1:0",
        quotas: [{ unit: "requests" as const, per: "minute" as const, limit: 1_000_000 }],
      },
    ],
  },
};

test("fewer lines are inserted at once if they are long, because all of them are in memory", async () => {
  const context = await openTestContext({ models, defaultModel: "llama" });
  onTestFinished(() => context.close());
  const request = batchRequestAt(context.clock.wall());
  const format = lineFormats(context.settings).of(endpoint)!;
  const inserted: number[] = [];
  const insertMany = (jobs: readonly Job[]) => {
    inserted.push(jobs.length);
    return context.store.insertMany(jobs);
  };
  const own = { ...context, store: overlaid(context.store, { insertMany }) } as unknown as BatchContext;
  async function* longLines(): AsyncIterable<Uint8Array> {
    const body = { model: "llama", messages: [{ role: "user", content: "Hello. ".repeat(100_000) }] };
    for (let i = 0; i < 30; i++) {
      yield Buffer.from(`${JSON.stringify({ custom_id: `request-${i}`, method: "POST", url: endpoint, body })}\n`);
    }
  }
  const before = await loadProgress(context, request.environment, request.id);
  expect(await submitLines(own, request, format, longLines(), before, async () => {})).toEqual({ refused: 0 });
  expect(inserted).toEqual([12, 12, 6]);
});
