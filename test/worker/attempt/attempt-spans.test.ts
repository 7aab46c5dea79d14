// The spans of attempts: the wait and the call, nested in the trace of the job or linked to it, and what they contain.
import { expect, test } from "vitest";
import type { FileSettings } from "../../../src/config/config-schema.ts";
import { recordingTracing } from "../../telemetry/recorded-spans.ts";
import { deployment, oneModel, runningWorkers } from "../support/harness.ts";

const open = runningWorkers();

const traceId = "0af7651916cd43dd8448eb211c80319c";
const parentId = "b7ad6b7169203331";
const trace = { traceparent: `00-${traceId}-${parentId}-01` };
const usage = { input: 100, output: 10, cacheRead: 5, cacheWrite: 6 };
const modelId = "us.meta.llama3-3-70b-instruct-v1:0";
const chat = `chat ${modelId}`;

test("a wait and a call are children of the acceptance, and the call is sent on with its own span", async () => {
  const tracing = recordingTracing();
  const harness = await open({
    tracing,
    respond: (call) => call.answer({ usage, requestId: "r-1", firstTokenMs: 250 }),
  });
  const id = await harness.submit("a", { trace, temperature: 0.5 });
  await harness.quiet();
  const [queue, call, ...others] = tracing.spans();
  expect(others).toEqual([]);
  expect(queue).toMatchObject({ name: "queue", kind: 0, traceId, parentId, links: [], failure: undefined });
  expect(call).toMatchObject({ name: chat, kind: 2, traceId, parentId, links: [], failure: undefined });
  expect(call!.attributes).toEqual({
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "aws.bedrock",
    "gen_ai.request.model": modelId,
    "gen_ai.request.max_tokens": 100,
    "gen_ai.request.temperature": 0.5,
    "gen_ai.response.id": "r-1",
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.response.time_to_first_chunk": 0.25,
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.output_tokens": 10,
    "gen_ai.usage.cache_read.input_tokens": 5,
    "gen_ai.usage.cache_creation.input_tokens": 6,
    "server.address": "bedrock-runtime.us-east-1.amazonaws.com",
    "sluice.job.id": id,
    "sluice.attempt": 1,
    "sluice.environment": "UAT",
    "sluice.tenant": "default",
    "sluice.priority": "standard",
    "sluice.model": "llama",
    "sluice.deployment": deployment,
    "sluice.worker": "test-worker",
    "sluice.result": "completed",
    "sluice.tokens.reserved": expect.any(Number),
  });
  expect(harness.provider.calls[0]!.trace).toBe(`00-${traceId}-${call!.spanId}-01`);
});

test("without tracing, the submitter's trace is sent on as it is", async () => {
  const harness = await open({ respond: (call) => call.answer() });
  await harness.submit("a", { trace });
  await harness.submit("b");
  await harness.quiet();
  expect(harness.provider.calls.map((call) => call.trace)).toEqual([trace.traceparent, undefined]);
});

test("an attempt long after the acceptance begins a trace that is linked to it", async () => {
  const tracing = recordingTracing();
  let tries = 0;
  const harness = await open({
    tracing,
    respond: (call) =>
      ++tries === 1
        ? call.fail({ kind: "transient", code: "model_unavailable", maybeBilled: false, retryAfterMs: 601_000 })
        : call.answer(),
  });
  await harness.submit("a", { trace });
  await harness.advance(700_000);
  const [first, second] = tracing.named(chat);
  expect(first).toMatchObject({ traceId, parentId, failure: "model_unavailable" });
  expect(first!.attributes).toMatchObject({ "error.type": "model_unavailable", "sluice.result": "transient" });
  const [, queue] = tracing.named("queue");
  expect(queue).toMatchObject({ parentId: undefined, links: [parentId], durationMs: 600_000 });
  expect(second).toMatchObject({ traceId: queue!.traceId, parentId: queue!.spanId, failure: undefined });
  expect(queue!.traceId).not.toBe(traceId);
});

test("a job without a trace begins one", async () => {
  const tracing = recordingTracing();
  const harness = await open({ tracing, respond: (call) => call.answer() });
  await harness.submit("a");
  await harness.quiet();
  const [queue, call] = tracing.spans();
  expect(queue).toMatchObject({ parentId: undefined, links: [] });
  expect(call).toMatchObject({ traceId: queue!.traceId, parentId: queue!.spanId });
});

test("a job whose submitter does not sample has no spans, and neither has its server", async () => {
  const tracing = recordingTracing();
  const harness = await open({ tracing, respond: (call) => call.answer() });
  await harness.submit("a", { trace: { traceparent: `00-${traceId}-${parentId}-00` } });
  await harness.quiet();
  expect(tracing.spans()).toEqual([]);
  expect(harness.provider.calls[0]!.trace).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`));
});

const content: FileSettings = { models: oneModel(), tracing: { content: true } };
const system = "Obey me.";

test("prompts, answers and what a provider says about them are in no span", async () => {
  const tracing = recordingTracing();
  let tries = 0;
  const harness = await open({
    tracing,
    respond: (call) =>
      ++tries === 1
        ? call.fail({ kind: "transient", code: "malformed_output", message: `cannot read ${call.prompt}` })
        : call.answer({ text: "planted answer" }),
  });
  await harness.submit("planted prompt", { trace, system, stop: ["planted stop"], metadata: { a: "planted label" } });
  await harness.advance(10_000);
  expect(tracing.named(chat)).toHaveLength(2);
  expect(JSON.stringify(tracing.spans())).not.toMatch(/planted|Obey/);
});

test("tracing.content adds prompts and answers, but not those that are erased", async () => {
  const tracing = recordingTracing();
  const harness = await open({
    tracing,
    file: { ...content, retention: { environments: { PROD: { texts: "none" } } } },
    respond: (call) => call.answer({ text: `to ${call.prompt}` }),
  });
  await harness.submit("planted prompt", { system });
  await harness.submit("erased prompt", { system, ephemeral: true });
  await harness.submit("erased prompt", { system, environment: "PROD" });
  await harness.quiet();
  const [kept, erased] = tracing.named(chat);
  expect(kept!.attributes).toMatchObject({
    "gen_ai.system_instructions": JSON.stringify([{ type: "text", content: system }]),
    "gen_ai.input.messages": JSON.stringify([{ role: "user", parts: [{ type: "text", content: "planted prompt" }] }]),
    "gen_ai.output.messages": JSON.stringify([
      { role: "assistant", parts: [{ type: "text", content: "to planted prompt" }], finish_reason: "stop" },
    ]),
  });
  expect(erased).toBeDefined();
  expect(JSON.stringify(tracing.spans())).not.toContain("erased prompt");
});
