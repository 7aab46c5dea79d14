// The trace of a submitter: every route that submits keeps it with the job, and records the acceptance as a span of it.
import { expect, onTestFinished, vi } from "vitest";
import { createLineCounter } from "../../src/jobs/batches/line-counter.ts";
import { lineFormats } from "../../src/wire/openai/line-formats.ts";
import type { BatchContext } from "../../src/worker/batches/batch-context.ts";
import { driveBatch } from "../../src/worker/batches/drive-batch.ts";
import { acceptedBatch, lineOf } from "../batches/support.ts";
import { test } from "../support/fixtures.ts";
import { recordingTracing } from "../telemetry/recorded-spans.ts";
import type { ServerUnderTest } from "./server-under-test.ts";

const traceId = "0af7651916cd43dd8448eb211c80319c";
const trace = { traceparent: `00-${traceId}-b7ad6b7169203331-01`, tracestate: "vendor=1" };
const headers = { "content-type": "application/json", ...trace };

let server: ServerUnderTest;
let accepted: string[];
test.beforeAll(async ({ shareServer }) => {
  server = await shareServer();
});
test.beforeEach(() => {
  accepted = [];
  delete server.context.tracing;
  server.context.events.publishAccepted = (jobs) => accepted.push(...jobs.map((job) => job.id));
});

const jobOf = async (id: string) => (await server.context.store.get(id))!.job;

/** Submits by a route whose caller waits for the answer, and plays the worker. */
async function called(url: string, body: object): Promise<string> {
  const answered = server.post(url, body, headers);
  await vi.waitFor(() => expect(accepted).toHaveLength(1), { timeout: 15_000, interval: 5 });
  await server.context.end(accepted[0]!, { status: "completed", text: "Because." });
  expect(await answered).toMatchObject({ status: 200 });
  return accepted[0]!;
}

const messages = [{ role: "user", content: "Why?" }];

test.each<[string, object]>([
  ["/enqueue", { prompt: "Why?", environment: "UAT" }],
  ["/v1/jobs", { prompt: "Why?", environment: "UAT" }],
  ["/v1/responses", { input: "Why?", background: true }],
])("%s keeps it", async (url, body) => {
  expect(await server.post(url, body, headers)).toMatchObject({ status: 200 });
  expect((await jobOf(accepted[0]!)).trace).toEqual(trace);
});

test.each<[string, object]>([
  ["/v1/chat/completions", { messages }],
  ["/v1/chat/completions", { messages, stream: true }],
  ["/v1/responses", { input: "Why?" }],
])("%s keeps it while its caller waits: %o", async (url, body) => {
  expect((await jobOf(await called(url, body))).trace).toEqual(trace);
});

test("an invalid one is ignored", async () => {
  const invalid = { ...headers, traceparent: "00-nonsense", tracestate: "a=1" };
  const { status, body } = await server.post("/enqueue", { prompt: "Why?", environment: "UAT" }, invalid);
  expect(status).toBe(200);
  expect(await jobOf(body.job_id)).not.toHaveProperty("trace");
});

test("a retry is linked to the trace of the job, and continues that of its own caller", async () => {
  const { body } = await server.post("/v1/jobs", { prompt: "Why?", environment: "UAT" }, headers);
  await server.context.end(body.job_id, { status: "cancelled" });
  const own = { traceparent: `00-${traceId}-00f067aa0ba902b7-01` };
  const retried = await server.post(
    `/v1/jobs/${body.job_id}/retry`,
    {},
    { "content-type": "application/json", ...own },
  );
  expect(await jobOf(retried.body.job_id)).toMatchObject({ trace: own, linkedTrace: trace });

  await server.context.end(retried.body.job_id, { status: "cancelled" });
  const again = await server.post(`/v1/jobs/${retried.body.job_id}/retry`, {});
  const job = await jobOf(again.body.job_id);
  expect(job.linkedTrace).toEqual(own);
  expect(job).not.toHaveProperty("trace");
});

/** Submits the lines of a batch and returns their jobs. */
async function linesOf(id: string) {
  const context = { ...server.context, formats: lineFormats(server.context.settings) } as unknown as BatchContext;
  await driveBatch(context, createLineCounter(context), "UAT", id, async () => {});
  return Promise.all(accepted.map(jobOf));
}

test("the lines of a batch are linked to it", async () => {
  const { context, post } = server;
  const { inputFileId } = await acceptedBatch(context, [lineOf("a"), "\n", lineOf("b")]);
  const body = { input_file_id: inputFileId, endpoint: "/v1/chat/completions", completion_window: "24h" };
  const { status, body: batch } = await post("/v1/batches", body, headers);
  expect(status).toBe(200);
  const lines = await linesOf(batch.id);
  expect(lines.map((job) => job.linkedTrace)).toEqual([trace, trace]);
  for (const job of lines) expect(job).not.toHaveProperty("trace");
});

test("with tracing, the acceptance is a span that the job continues", async () => {
  const tracing = recordingTracing();
  server.context.tracing = tracing;
  const { body } = await server.post("/v1/jobs", { prompt: "Why?", environment: "UAT" }, headers);
  const [span, ...others] = tracing.spans();
  expect(others).toEqual([]);
  expect(span).toMatchObject({ name: "send UAT", kind: 3, traceId, parentId: "b7ad6b7169203331", failure: undefined });
  expect(span!.attributes).toMatchObject({
    "messaging.system": "sluice",
    "messaging.destination.name": "UAT",
    "sluice.environment": "UAT",
    "messaging.message.id": body.job_id,
    "sluice.job.id": body.job_id,
    "sluice.tenant": "default",
  });
  const { trace: kept } = await jobOf(body.job_id);
  expect(kept).toEqual({ traceparent: `00-${traceId}-${span!.spanId}-01`, tracestate: "vendor=1" });

  await server.context.end(body.job_id, { status: "cancelled" });
  const retried = await server.post(`/v1/jobs/${body.job_id}/retry`, {});
  const retrySpan = tracing.spans()[1]!;
  expect(retrySpan).toMatchObject({ name: "send UAT", parentId: undefined, links: [span!.spanId] });
  expect((await jobOf(retried.body.job_id)).trace?.traceparent).toContain(retrySpan.spanId);
});

test("with tracing, a batch is one span to which its lines are linked", async () => {
  const tracing = recordingTracing();
  server.context.tracing = tracing;
  const { id } = await acceptedBatch(server.context, [lineOf("a"), "\n", lineOf("b")]);
  const lines = await linesOf(id);
  const [span, ...others] = tracing.spans();
  expect(others).toEqual([]);
  expect(span).toMatchObject({ name: "send UAT", attributes: { "sluice.batch.id": id } });
  for (const job of lines) expect(job.linkedTrace?.traceparent).toContain(span!.spanId);
});

test("with tracing, a submit that the store refuses is a span that failed", async () => {
  const tracing = recordingTracing();
  const { store } = server.context;
  const { insertMany } = store;
  server.context.tracing = tracing;
  store.insertMany = () => Promise.reject(new Error("a bug"));
  onTestFinished(() => {
    store.insertMany = insertMany;
  });
  expect((await server.post("/enqueue", { prompt: "Why?", environment: "UAT" }, headers)).status).toBe(500);
  expect(tracing.spans()).toMatchObject([{ name: "send UAT", failure: "internal" }]);
});
