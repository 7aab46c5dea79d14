// Jobs in Bedrock's own format on their way through the worker: what the provider gets, and what is kept of its answer.
import fc from "fast-check";
import { expect, test } from "vitest";
import type { NativeRequest } from "../../src/domain/native-request.ts";
import { submit } from "../../src/jobs/submit/submit.ts";
import type { NativeInput } from "../../src/jobs/submit/submit-input.ts";
import { nativeBody } from "../support/native-bodies.ts";
import { deployment, type Harness, type HarnessOptions, oneModel, runningWorkers, states } from "./support/harness.ts";

let h: Harness;
const openRunning = runningWorkers();
const open = async (options?: HarnessOptions) => {
  h = await openRunning(options);
};

async function submitNative(native: Partial<NativeInput["native"]> = {}, more: Partial<NativeInput> = {}) {
  const call = { operation: "invoke" as const, streamed: false, body: '{"prompt":"p","max_gen_len":50}', ...native };
  const [job] = await submit(h.context, [{ environment: "UAT", ...more, native: call }]);
  return job!.id;
}

test("the provider gets the stored body, byte for byte, and its answer is stored verbatim with what it contains", async () => {
  await open();
  const answers = fc.record({ body: nativeBody, events: nativeBody, isStreamed: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(nativeBody, answers, async (body, { isStreamed, ...raw }) => {
      const native = isStreamed
        ? { events: raw.events }
        : { body: raw.body, headers: { "content-type": "application/json" } };
      const jobId = await submitNative({ body, streamed: isStreamed });
      await h.quiet();
      const call = h.provider.calls.at(-1)!;
      expect((call.request as NativeRequest).native).toEqual({ operation: "invoke", streamed: isStreamed, body });
      call.answer({ text: "extracted", native });
      await h.quiet();
      expect((await h.record(jobId)).outcome).toMatchObject({ status: "completed", text: "extracted", native });
    }),
    { numRuns: 40 },
  );
});

test("its usage settles the quotas and the cost, cached tokens too, and its retry sends the same", async () => {
  const prices = { input: 1, output: 2, cacheRead: 0.1 };
  const catalogue = { "meta.llama3-3-70b-instruct-v1:0": { prices } };
  await open({ file: { models: oneModel([{ unit: "tokens", per: "minute", limit: 100_000 }]), catalogue } });
  const jobId = await submitNative({ headers: { "x-amzn-bedrock-trace": "ENABLED" } });
  await h.quiet();
  h.provider.calls[0]!.fail({ kind: "transient", code: "unknown_end", maybeBilled: false });
  await h.advance(60_000);
  const [first, second] = h.provider.calls;
  expect(second!.request).toEqual(first!.request);
  second!.answer({ text: "t", native: { body: "{}" }, usage: { input: 1000, output: 20, cacheRead: 5000 } });
  await h.quiet();
  expect(await h.ends(jobId)).toEqual(["transient", "completed"]);
  const { attempts, outcome } = await h.record(jobId);
  expect(attempts[1]).toMatchObject({ deployment, reserved: { output: 50 }, end: { costNanoUsd: 1_540_000 } });
  expect(outcome).toMatchObject({ costNanoUsd: 1_540_000, native: { body: "{}" } });
});

test("a stream passes whole lines of events on, and again to who comes late", async () => {
  await open();
  const jobId = await submitNative({ streamed: true });
  await h.quiet();
  const [call] = h.provider.calls;
  call!.stream('["chunk","1"]\n');
  const events = h.listen(jobId);
  call!.stream('["chunk","2"]\n');
  call!.answer({ text: "t", native: { events: '["chunk","1"]\n["chunk","2"]\n' } });
  await h.quiet();
  expect(events[0]).toMatchObject({ type: "tokens", index: 0, text: '["chunk","1"]\n["chunk","2"]\n', pieces: 2 });
  expect(states(events)).toEqual(["completed"]);
});

test("waits for a deployment of its model, though another of its alias is free", async () => {
  const other = { region: "us-east-1", modelId: "amazon.nova-lite-v1:0" };
  const [llama] = oneModel([{ unit: "requests", per: "minute", limit: 1 }]).llama.deployments;
  await open({ file: { models: { llama: { maxOutputTokens: 100, deployments: [llama!, other] } } } });
  const jobs = [];
  for (let i = 0; i < 2; i++) jobs.push(await submitNative({}, { model: "meta.llama3-3-70b-instruct-v1:0" }));
  await h.quiet();
  expect(h.provider.calls).toHaveLength(1);
  h.provider.calls[0]!.answer();
  await h.advance(120_000);
  h.provider.calls[1]!.answer();
  await h.quiet();
  for (const jobId of jobs) expect((await h.record(jobId)).attempts).toMatchObject([{ deployment }]);
});

test("a provider that cannot send it fails the job for good", async () => {
  await open({ respond: (call) => call.fail({ kind: "permanent", code: "provider_rejected", message: "no" }) });
  const jobId = await submitNative();
  await h.quiet();
  expect((await h.record(jobId)).outcome).toMatchObject({ status: "failed", error: { code: "provider_rejected" } });
});
