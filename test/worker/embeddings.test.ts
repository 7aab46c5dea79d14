// Lists of texts that need several calls: whatever fails, whenever a process dies, every text is embedded once and in
// order, and every call is paid for once.
import fc from "fast-check";
import { expect, test } from "vitest";
import { isEmbedding, textsOf } from "../../src/domain/embedding-request.ts";
import type { Usage } from "../../src/domain/job.ts";
import { keylessCaller } from "../../src/jobs/caller.ts";
import { cancel } from "../../src/jobs/control/cancel.ts";
import { submit } from "../../src/jobs/submit/submit.ts";
import { joinedParts, sweepVectors } from "../../src/jobs/vector-parts.ts";
import { type Harness, type HarnessOptions, oneModel, openHarness, runningWorkers } from "./support/harness.ts";
import type { SeenCall } from "./support/scripted-provider.ts";

const open = runningWorkers();
const modelId = "meta.llama3-3-70b-instruct-v1:0";

/** One model that makes embeddings, for $1 per million tokens. */
function options(textsPerCall: number, quotas: Parameters<typeof oneModel>[0] = []): HarnessOptions {
  const embeddings = { body: "cohere" as const, textsPerCall };
  const catalogue = { [modelId]: { embeddings, prices: { input: 1, output: 0 } } };
  return { file: { models: oneModel(quotas), catalogue } };
}

async function embed(h: Harness, texts: string[]): Promise<string> {
  const wanted = { environment: "UAT", model: "llama", texts, embeddings: { format: "float" as const } };
  const [job] = await submit(h.context, [wanted]);
  return job!.id;
}

const textsIn = ({ request }: SeenCall) => (isEmbedding(request) ? textsOf(request) : []);
const storedVectors = async (context: Harness["context"], owner: { id: string; environment: string }) =>
  (await joinedParts(context, owner)).vectors;

/** A vector that shows its text, with digits that JavaScript would change. */
const vectorOf = (text: string) => `[${text.length}.10, 1e-7]`;

function answer(call: SeenCall, usage: Usage = { input: 10, output: 0 }): void {
  call.answer({ text: "", vectors: textsIn(call).map(vectorOf), usage });
}

const failures = ["throttled", "capacity", "transient", "billed", "unsent"] as const;

function fail(call: SeenCall, failure: (typeof failures)[number]): void {
  if (failure === "billed") call.fail({ kind: "transient", code: "unknown_end", maybeBilled: true });
  else if (failure === "unsent") call.fail({ kind: "transient", code: "model_unavailable" });
  else call.fail({ kind: failure });
}

test("each text is embedded once and in order, and each call is paid for once", async () => {
  const plans = fc.record({
    count: fc.integer({ min: 1, max: 12 }),
    textsPerCall: fc.integer({ min: 1, max: 5 }),
    // What happens at each call, until the last one: a failure, or nothing.
    before: fc.array(fc.option(fc.constantFrom(...failures), { freq: 2 }), { maxLength: 12 }),
  });
  await fc.assert(
    fc.asyncProperty(plans, async ({ count, textsPerCall, before }) => {
      const texts = Array.from({ length: count }, (_, i) => `text ${"x".repeat(i)}`);
      let row = 0;
      const plan = [...before];
      const answered: string[] = [];
      const h = await openHarness({
        ...options(textsPerCall),
        respond(call) {
          const failure = plan.shift();
          // Two failures in a row at one part, at most: the third would fail the job.
          row = failure ? row + 1 : 0;
          if (failure && row < 3) return fail(call, failure);
          row = 0;
          answered.push(...textsIn(call));
          answer(call);
        },
      });
      try {
        h.worker.start();
        const jobId = await embed(h, texts);
        await h.advance(900_000);
        const { attempts, outcome } = await h.record(jobId);
        expect(answered).toEqual(texts);
        expect(outcome).toMatchObject({ status: "completed", vectors: texts.map(vectorOf) });
        const calls = Math.ceil(count / textsPerCall);
        expect(attempts.filter(({ end }) => end?.result === "completed")).toHaveLength(calls);
        expect(outcome!.usage).toEqual({ input: 10 * calls, output: 0 });
        const paid = attempts.reduce((sum, { end }) => sum + (end?.costNanoUsd ?? 0), 0);
        expect(outcome!.costNanoUsd).toBe(paid);
        expect(paid).toBeGreaterThanOrEqual(10_000 * calls);
        expect(await storedVectors(h.context, { id: jobId, environment: "UAT" })).toEqual([]);
      } finally {
        await h.close();
      }
    }),
    { numRuns: 10 },
  );
});

test("after a kill between two calls, the next process goes on where the stored vectors end", async () => {
  const first = await open(options(2));
  const texts = ["a", "bb", "ccc", "dddd", "eeeee"];
  const jobId = await embed(first, texts);
  await first.quiet();
  answer(first.provider.calls[0]!);
  await first.quiet();
  expect(first.provider.calls).toHaveLength(2);
  const { attempts } = await first.record(jobId);
  expect(attempts[0]!.end).toMatchObject({ result: "completed", embedded: 2 });
  await first.abandon();

  const second = await openHarness({ ...options(2), after: first });
  second.worker.start();
  await second.advance(60_000);
  for (let i = 0; i < 2; i++) {
    answer(second.provider.calls[i]!);
    await second.advance(1000);
  }
  expect(second.provider.calls.map(textsIn)).toEqual([["ccc", "dddd"], ["eeeee"]]);
  expect(await second.ends(jobId)).toEqual(["completed", undefined, "completed", "completed"]);
  expect((await second.record(jobId)).outcome).toMatchObject({ status: "completed", vectors: texts.map(vectorOf) });
  await second.close();
});

test("vectors that were stored just before a kill are not asked for again", async () => {
  const never = new Promise<never>(() => {});
  const first = await openHarness({ ...options(1), store: () => ({ endAttempt: () => never }) });
  first.worker.start();
  const jobId = await embed(first, ["a", "bb"]);
  await first.time.runNext(first.time.now());
  while (first.provider.calls.length === 0) await new Promise(setImmediate);
  answer(first.provider.calls[0]!);
  const owner = { id: jobId, environment: "UAT" };
  while ((await storedVectors(first.context, owner)).length === 0) await new Promise(setImmediate);
  await first.abandon();

  const second = await openHarness({ ...options(1), after: first });
  second.worker.start();
  await second.advance(60_000);
  answer(second.provider.calls[0]!);
  await second.advance(1000);
  expect(second.provider.calls.map(textsIn)).toEqual([["bb"]]);
  const vectors = ["a", "bb"].map(vectorOf);
  expect((await second.record(jobId)).outcome).toMatchObject({ vectors, usage: { input: 20, output: 0 } });
  await second.close();
});

test("three failures of one call fail the job with the cost so far, and nothing stays stored", async () => {
  const h = await open(options(1));
  const jobId = await embed(h, ["a", "bb", "ccc"]);
  await h.quiet();
  answer(h.provider.calls[0]!);
  await h.quiet();
  for (let i = 1; i < 4; i++) {
    fail(h.provider.calls[i]!, "unsent");
    await h.advance(120_000);
  }
  const { outcome } = await h.record(jobId);
  expect(outcome).toMatchObject({ status: "failed", error: { code: "tries_exhausted" }, costNanoUsd: 10_000 });
  expect(outcome!.vectors).toBeUndefined();
  expect(await storedVectors(h.context, { id: jobId, environment: "UAT" })).toEqual([]);
});

test("a job that is cancelled between two calls leaves no vectors behind", async () => {
  const h = await open(options(1, [{ unit: "requests", per: "minute", limit: 1 }]));
  const jobId = await embed(h, ["a", "bb"]);
  await h.quiet();
  answer(h.provider.calls[0]!);
  await h.quiet();
  const owner = { id: jobId, environment: "UAT" };
  await sweepVectors(h.context, ["UAT"]);
  expect(await storedVectors(h.context, owner)).toHaveLength(1);
  await cancel(h.context, jobId, keylessCaller);
  await sweepVectors(h.context, ["UAT"]);
  expect(await storedVectors(h.context, owner)).toEqual([]);
  expect(h.provider.calls).toHaveLength(1);
});

test("each call is charged by itself: the quota of requests counts it, the reservation is that of the largest call", async () => {
  const quotas = [
    { unit: "requests" as const, per: "minute" as const, limit: 2 },
    { unit: "tokens" as const, per: "minute" as const, limit: 1000 },
  ];
  const h = await open(options(2, quotas));
  const texts = ["a", "b", "one two three four five six", "d", "e"];
  const jobId = await embed(h, texts);
  const { job } = await h.record(jobId);
  expect(job.tokens.output).toBe(0);
  expect(job.totalTokens!.input).toBeGreaterThan(job.tokens.input);
  await h.quiet();
  answer(h.provider.calls[0]!);
  await h.quiet();
  answer(h.provider.calls[1]!);
  await h.quiet();
  expect(h.provider.calls).toHaveLength(2);
  await h.advance(120_000);
  expect(h.provider.calls).toHaveLength(3);
  answer(h.provider.calls[2]!);
  await h.quiet();
  const { attempts } = await h.record(jobId);
  expect(attempts.map(({ reserved }) => reserved)).toEqual(attempts.map(() => job.tokens));
});
