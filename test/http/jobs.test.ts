// /v1/jobs: submit, list, cancel, retry. Waiting is in wait.test.ts.
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type ServerUnderTest, startServerUnderTest } from "./server-under-test.ts";

let server: ServerUnderTest;
beforeEach(async () => {
  server = await startServerUnderTest();
});
afterEach(() => server.close());

describe("submit", () => {
  test("answers with the whole job and where it is", async () => {
    const { status, body, headers } = await server.post("/v1/jobs", { prompt: "Hello?", environment: "UAT" });
    expect(status).toBe(200);
    expect(headers.location).toBe(`jobs/${body.job_id}`);
    expect(body.status).toBe("queued");
    const read = await server.get(`/v1/${headers.location}`);
    expect(read.body).toEqual({ ...body, eta: read.body.eta });
  });

  test("takes a conversation and every option", async () => {
    const { status, text, body } = await server.post("/v1/jobs", {
      environment: "PROD",
      model: "nova-lite",
      system: "One.",
      messages: [
        { role: "system", content: "Two." },
        { role: "user", content: "a" },
        {
          role: "user",
          content: [
            { type: "text", text: "b" },
            { type: "text", text: " " },
          ],
        },
        { role: "assistant", content: "c" },
        { role: "system", content: [{ type: "text", text: "Three." }] },
        { role: "user", content: "d" },
      ],
      stop: ["END"],
      regions: ["eu-west-1", "us-east-1"],
      fallback_models: ["llama3-3-70b", "nova-lite", "llama3-3-70b"],
      on_unknown: "fail",
      not_before: "2020-01-01T00:00:00+02:00",
    });
    expect(status, text).toBe(200);
    const record = await server.context.store.get(body.job_id);
    expect(record?.job).toMatchObject({
      model: "nova-lite",
      fallbackModels: ["llama3-3-70b"],
      regions: ["eu-west-1", "us-east-1"],
      onUnknown: "fail",
      notBefore: Date.parse("2019-12-31T22:00:00Z"),
      request: {
        system: "One.\n\nTwo.\n\nThree.",
        messages: [
          { role: "user", content: [{ type: "text", text: "a" }] },
          {
            role: "user",
            content: [
              { type: "text", text: "b" },
              { type: "text", text: " " },
            ],
          },
          { role: "assistant", content: [{ type: "text", text: "c" }] },
          { role: "user", content: [{ type: "text", text: "d" }] },
        ],
        parameters: { maxTokens: 1024, stop: ["END"] },
      },
    });
  });
});

describe("list", () => {
  async function idsOf(query: string): Promise<string[]> {
    const { status, text, body } = await server.get(`/v1/jobs${query}`);
    expect(status, text).toBe(200);
    return body.data.map((job: { job_id: string }) => job.job_id);
  }

  test("pages through all, newest first, each job once", async () => {
    const ids: string[] = [];
    for (let i = 0; i < 7; i++) ids.push(await server.enqueue({ environment: i % 2 ? "PROD" : "UAT" }));
    const seen: string[] = [];
    let cursor = "";
    let pages = 0;
    do {
      const { body } = await server.get(`/v1/jobs?limit=3${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
      expect(body.data.length).toBeLessThanOrEqual(3);
      seen.push(...body.data.map((job: { job_id: string }) => job.job_id));
      cursor = body.next_cursor ?? "";
      pages++;
    } while (cursor && pages < 10);
    expect(seen).toEqual(ids.toReversed());
  });

  test("filters", async () => {
    const uat = await server.enqueue({ metadata: { a: "b" } });
    const prod = await server.enqueue({ environment: "PROD", priority: "batch" });
    const nova = await server.enqueue({ model: "nova-lite" });
    await server.context.end(nova, { status: "failed", error: { code: "provider_rejected", message: "No." } });

    expect(await idsOf("?environment=PROD")).toEqual([prod]);
    expect(await idsOf("?status=queued&environment=UAT")).toEqual([uat]);
    expect(await idsOf("?status=failed")).toEqual([nova]);
    expect(await idsOf("?model=nova-lite")).toEqual([nova]);
    expect(await idsOf("?priority=batch")).toEqual([prod]);
    expect(await idsOf("?tenant=default")).toHaveLength(3);
    expect(await idsOf("?tenant=other")).toEqual([]);
    expect(await idsOf("?submitted_after=2020-01-01T00:00:00Z&limit=2")).toHaveLength(2);
    expect(await idsOf("?submitted_before=2020-01-01T00:00:00Z")).toEqual([]);
  });

  test("a line has no prompt and no answer", async () => {
    const jobId = await server.enqueue({ metadata: { a: "b" } });
    const { body } = await server.get("/v1/jobs");
    expect(body).toEqual({
      data: [
        {
          job_id: jobId,
          status: "queued",
          environment: "UAT",
          tenant: "default",
          model: "llama3-3-70b",
          priority: "standard",
          error: null,
          created_at: expect.any(String),
          finished_at: null,
          not_before: null,
          expires_at: null,
          retry_of: null,
          metadata: { a: "b" },
        },
      ],
      next_cursor: null,
    });
  });
});

describe("cancel and retry", () => {
  test("the type of a body that is not sent does no harm", async () => {
    const headers = { "content-type": "application/json" };
    const answer = await server.app.inject({ method: "POST", url: `/v1/jobs/${crypto.randomUUID()}/cancel`, headers });
    expect(answer.json().error.code).toBe("job_not_found");
  });

  test("cancelling twice is fine, cancelling what has completed is not", async () => {
    const jobId = await server.enqueue();
    for (let i = 0; i < 2; i++) {
      const { status, body } = await server.post(`/v1/jobs/${jobId}/cancel`);
      expect(status).toBe(200);
      expect(body).toMatchObject({ job_id: jobId, status: "cancelled", error: null });
    }
    const completed = await server.enqueue();
    await server.context.end(completed, { status: "completed", text: "x" });
    const { status, body } = await server.post(`/v1/jobs/${completed}/cancel`);
    expect(status).toBe(409);
    expect(body.error).toMatchObject({
      code: "conflict",
      message: "The job cannot be cancelled: it is completed.",
      job_id: completed,
    });
  });

  test("retrying twice gives the same new job", async () => {
    const jobId = await server.enqueue({ prompt: "Again?" });
    expect((await server.post(`/v1/jobs/${jobId}/retry`)).status).toBe(409);
    await server.post(`/v1/jobs/${jobId}/cancel`);
    const first = await server.post(`/v1/jobs/${jobId}/retry`);
    const second = await server.post(`/v1/jobs/${jobId}/retry`);
    expect(first.status).toBe(200);
    expect(first.body).toMatchObject({ status: "queued", retry_of: jobId });
    expect(first.headers.location).toBe(`../${first.body.job_id}`);
    expect(second.body.job_id).toBe(first.body.job_id);
    expect(await server.context.countJobs()).toBe(2);
    expect((await server.get(`/v1/jobs/${jobId}`)).body.status).toBe("cancelled");
  });
});
