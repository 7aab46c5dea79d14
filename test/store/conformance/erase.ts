import { expect, type TestAPI } from "vitest";
import { newJobId } from "../../../src/domain/ids.ts";
import { type AttemptEnd, isErased, type Outcome } from "../../../src/domain/job.ts";
import type { CanonicalRequest } from "../../../src/domain/request.ts";
import type { JobStore } from "../../../src/store/job-store.ts";
import { beginning, begun, makeJob } from "./support.ts";

const secret = "the secret of the sluice";
const request: CanonicalRequest = {
  messages: [{ role: "user", content: [{ type: "text", text: secret }] }],
  system: secret,
  tools: [{ name: "f", description: secret, inputSchema: {} }],
  responseFormat: { type: "json_schema", name: "x", schema: { description: secret } },
  parameters: { maxTokens: 100, temperature: 0.5, stop: [secret] },
};
const end: AttemptEnd = { result: "completed", at: 8, usage: { input: 20, output: 5 }, costNanoUsd: 7 };

export function eraseCases(store: () => JobStore, test: TestAPI): void {
  test("what was asked and answered is gone; that it was, how it ended and what it cost is not", async () => {
    const { job, attempt } = await begun(store(), { request, ephemeral: true, metadata: { label: "kept" } });
    const outcome: Outcome = {
      jobId: job.id,
      status: "completed",
      at: 9,
      // Half a surrogate pair is stored in another way.
      text: `${secret}\ud800`,
      toolCalls: [{ id: "t", name: "f", arguments: JSON.stringify({ secret }) }],
      finishReason: "tool_calls",
      usage: { input: 20, output: 5 },
      costNanoUsd: 7,
      deployment: "bedrock/eu-west-1/other",
      model: "other",
      attempt: 1,
    };
    await store().finish("UAT", outcome, { n: 1, end });
    const { toolCalls: _, ...rest } = outcome;
    const erased = {
      job: { ...job, erased: "texts", request: { messages: [], parameters: { maxTokens: 100, temperature: 0.5 } } },
      state: "completed",
      attempts: [{ ...attempt, end }],
      outcome: { ...rest, text: "" },
    };
    for (let times = 1; times <= 2; times++) {
      await store().eraseTexts("UAT", job.id);
      const record = await store().get(job.id);
      expect(record).toEqual(erased);
      expect(JSON.stringify(record)).not.toContain(secret);
    }
    // Late answers change nothing.
    expect(await store().finish("UAT", { ...outcome, text: "late" }, { n: 1, end })).toMatchObject({ first: false });
    expect(await store().beginAttempt(beginning(job))).toMatchObject({ status: "ended", outcome: { text: "" } });
    expect(await store().get(job.id)).toEqual(erased);
    expect((await store().getRequests("UAT", [job.id])).get(job.id)).toEqual(erased.job.request);
  });

  test("with `all`, labels, names, addresses, traces and the messages of errors are gone too", async () => {
    const trace = { traceparent: `00-${"1".repeat(32)}-${"2".repeat(16)}-01`, tracestate: `a=${secret}` };
    const texts = { metadata: { label: secret }, customId: secret, webhookUrl: `https://example.com/${secret}` };
    const { job } = await begun(store(), { request, ...texts, trace, linkedTrace: trace });
    const error = { code: "provider_rejected", message: secret };
    const outcome: Outcome = { jobId: job.id, status: "failed", at: 9, error, costNanoUsd: 7 };
    await store().finish("UAT", outcome, { n: 1, end: { ...end, result: "permanent", error } });
    const { metadata: _m, customId: _c, webhookUrl: _w, trace: _t, linkedTrace: _l, ...rest } = job;
    // What is erased does not return with the lesser erasure.
    for (const erasure of ["all", "all", "texts"] as const) {
      await store().eraseTexts("UAT", job.id, erasure);
      const record = await store().get(job.id);
      expect(JSON.stringify(record)).not.toContain(secret);
      expect(record).toMatchObject({
        job: { ...rest, erased: "all", request: { messages: [] } },
        outcome: { status: "failed", error: { code: "provider_rejected" }, costNanoUsd: 7 },
        attempts: [{ end: { result: "permanent", usage: end.usage, costNanoUsd: 7 } }],
      });
    }
    const { from: submittedFrom, to: submittedTo } = { from: job.submittedAt, to: job.submittedAt + 1 };
    const { items } = await store().list({ environment: "UAT", submittedFrom, submittedTo, limit: 10 });
    expect(items).toMatchObject([{ job: { id: job.id }, error: { code: "provider_rejected" } }]);
    expect(JSON.stringify(items)).not.toContain(secret);
  });

  test("a job without an answer keeps its error", async () => {
    const job = makeJob({ request });
    await store().insertMany([job]);
    const outcome: Outcome = { jobId: job.id, status: "failed", at: 9, error: { code: "internal", message: "x" } };
    await store().finish("UAT", outcome);
    await store().eraseTexts("UAT", job.id);
    expect(await store().get(job.id)).toMatchObject({ state: "failed", outcome, job: { request: { messages: [] } } });
  });

  test("a job that has not ended, is another environment's or is not there is left alone", async () => {
    const { job } = await begun(store(), { request });
    const ended = await begun(store(), { request });
    await store().finish("UAT", { jobId: ended.job.id, status: "completed", at: 9, text: secret });
    await store().eraseTexts("UAT", job.id);
    await store().eraseTexts("PROD", ended.job.id);
    await store().eraseTexts("UAT", newJobId());
    expect((await store().get(job.id))?.job).toEqual(job);
    expect((await store().get(ended.job.id))?.outcome?.text).toBe(secret);
    await expect(store().eraseTexts("nowhere", job.id)).rejects.toMatchObject({ code: "unknown_environment" });
  });
  test("a native request and its answer stay as they are, and an erasure leaves neither", async () => {
    const body = `{ "a":1.0,\t"\\u0061": 9007199254740993, "text":"${secret}\\ud800" }\n`;
    const { job, attempt } = await begun(store(), {
      request: {
        native: { operation: "invoke", streamed: true, body, headers: { "x-amzn-bedrock-trace": secret } },
        parameters: { maxTokens: 100 },
        serviceTier: "flex",
      },
      baseModel: "anthropic.claude-sonnet-4-5-20250929-v1:0",
    });
    const outcome: Outcome = {
      jobId: job.id,
      status: "completed",
      at: 9,
      text: secret,
      native: { events: `["chunk","{ \\"n\\": 1.0 }"]\n${secret}`, headers: { "content-type": secret } },
    };
    await store().finish("UAT", outcome, { n: 1, end });
    expect(await store().get(job.id)).toEqual({ job, state: "completed", attempts: [{ ...attempt, end }], outcome });
    expect((await store().getRequests("UAT", [job.id])).get(job.id)).toEqual(job.request);

    await store().eraseTexts("UAT", job.id);
    const erased = (await store().get(job.id))!;
    expect(JSON.stringify(erased)).not.toContain(secret);
    expect(isErased(erased.job.request)).toBe(true);
    expect(erased.job.request).toEqual({
      native: { operation: "invoke", streamed: true, body: "" },
      parameters: { maxTokens: 100 },
    });
    expect(erased.outcome).toEqual({ jobId: job.id, status: "completed", at: 9, text: "" });
  });
}
