// The contract of POST /enqueue, which old clients rely on to the letter.

import { afterAll, beforeAll, expect, test } from "vitest";
import { isUuid } from "../../src/domain/ids.ts";
import { canonicalPart } from "../../src/domain/request.ts";
import { type ServerUnderTest, startServerUnderTest } from "./server-under-test.ts";

let server: ServerUnderTest;
beforeAll(async () => {
  server = await startServerUnderTest();
});
afterAll(() => server.close());

test("answers exactly what it always has", async () => {
  const answer = await server.post("/enqueue", { prompt: "Why is the sky blue?", environment: "UAT" });
  expect(answer.status).toBe(200);
  expect(answer.text).toBe(`{"success":true,"job_id":"${answer.body.job_id}","message":"Prompt added to queue."}`);
  expect(isUuid(answer.body.job_id)).toBe(true);
  expect(answer.headers["content-type"]).toBe("application/json; charset=utf-8");
});

test("what is accepted is on record, in full", async () => {
  const jobId = await server.enqueue({
    prompt: "Why is the sky blue?",
    environment: "PROD",
    model: "nova-lite",
    system: "Be brief.",
    max_tokens: 77,
    temperature: 0.5,
    top_p: 0.9,
    priority: "interactive",
    expires_in: 60,
    metadata: { ticket: "A-1", __proto_: "x" },
  });
  const record = await server.context.store.get(jobId);
  expect(record).toMatchObject({
    state: "queued",
    attempts: [],
    job: {
      environment: "PROD",
      tenant: "default",
      model: "nova-lite",
      fallbackModels: [],
      priority: "interactive",
      onUnknown: "retry",
      metadata: { ticket: "A-1", __proto_: "x" },
      request: {
        messages: [{ role: "user", content: [{ type: "text", text: "Why is the sky blue?" }] }],
        system: "Be brief.",
        parameters: { maxTokens: 77, temperature: 0.5, topP: 0.9 },
      },
    },
  });
  expect(record?.job.tokens.output).toBe(77);
  expect(record!.job.expiresAt! - record!.job.submittedAt).toBe(60_000);
});

test("what is accepted is in the queue", async () => {
  const jobId = await server.enqueue();
  expect(await server.context.scheduler.explain(jobId)).toMatchObject({ state: "waiting" });
});

test("a charset in the content type and a byte order mark are fine", async () => {
  const body = `\uFEFF${JSON.stringify({ prompt: "héllo", environment: "UAT" })}`;
  const answer = await server.post("/enqueue", body, { "content-type": "application/json; charset=UTF-8" });
  expect(answer.status).toBe(200);
  const record = await server.context.store.get(answer.body.job_id);
  expect(canonicalPart(record!.job.request).messages[0]?.content).toEqual([{ type: "text", text: "héllo" }]);
});
