// Whatever is sent, it is either taken or refused with a 4xx; nothing that a client can send is our failure.
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Answer, type ServerUnderTest, startServerUnderTest } from "./server-under-test.ts";

let server: ServerUnderTest;
beforeAll(async () => {
  server = await startServerUnderTest();
});
afterAll(() => server.close());

const text = fc.string({ unit: "binary" });
const anything = fc.oneof(fc.jsonValue(), text, fc.constantFrom("\ud800", "", " \n", "\0", -0, 1e308), fc.double());
/** Mostly right, so that the checks behind the schema are reached as well. */
const mostly = <T>(right: fc.Arbitrary<T>) =>
  fc.oneof({ arbitrary: right, weight: 30 }, { arbitrary: anything, weight: 1 });

const key = fc.constantFrom("a", "b");
const part = fc.oneof(
  { arbitrary: mostly(fc.record({ type: mostly(fc.constant("text")), text: mostly(text) })), weight: 12 },
  mostly(
    fc.record({ type: fc.constant("tool_call"), id: mostly(key), name: mostly(key), input: mostly(fc.jsonValue()) }),
  ),
  mostly(
    fc.record({ type: fc.constant("tool_call"), id: mostly(key), name: mostly(key), arguments: mostly(fc.json()) }),
  ),
  mostly(fc.record({ type: fc.constant("tool_result"), call_id: mostly(key), text: mostly(text) })),
  mostly(
    fc.record(
      { type: fc.constant("cache_point"), ttl: mostly(fc.constantFrom("5m", "1h")) },
      { requiredKeys: ["type"] },
    ),
  ),
);
const message = mostly(
  fc.record({
    role: mostly(fc.constantFrom("user", "assistant", "system")),
    content: fc.oneof(mostly(text), fc.array(part, { maxLength: 3 })),
  }),
);
const model = fc.constantFrom("llama3-3-70b", "nova-lite");

const ofBoth = {
  environment: mostly(fc.constantFrom("UAT", "PROD")),
  model: mostly(model),
  system: mostly(text),
  max_tokens: mostly(fc.integer({ min: 1, max: 2100 })),
  temperature: mostly(fc.double({ min: 0, max: 1, noNaN: true })),
  top_p: mostly(fc.double({ min: 0, max: 1, noNaN: true })),
  priority: mostly(fc.constantFrom("interactive", "standard", "batch")),
  expires_in: mostly(fc.integer({ min: 1, max: 1e6 })),
  metadata: mostly(fc.dictionary(text, text, { maxKeys: 3 })),
};
const ofJobs = {
  ...ofBoth,
  stop: mostly(fc.array(text, { maxLength: 3 })),
  regions: mostly(fc.constant(["us-east-1", "eu-west-1"])),
  fallback_models: mostly(fc.array(model, { maxLength: 3 })),
  on_unknown: mostly(fc.constantFrom("retry", "fail")),
  not_before: mostly(
    fc.oneof(
      fc.double({ min: 0, max: 100, noNaN: true }),
      fc.date({ noInvalidDate: true }).map((d) => d.toISOString()),
    ),
  ),
};
/** Of most of them the models of this test take few. */
const ofContent = {
  tools: mostly(
    fc.array(mostly(fc.record({ name: mostly(key), input_schema: mostly(fc.object()) })), { maxLength: 3 }),
  ),
  tool_choice: mostly(fc.oneof(fc.constantFrom("auto", "required", "none"), fc.record({ name: key }))),
  response_format: mostly(fc.record({ type: fc.constant("json_schema"), name: key, schema: fc.object() })),
  service_tier: mostly(fc.constantFrom("default", "priority", "flex")),
  guardrail: mostly(fc.record({ id: key, version: fc.constantFrom("DRAFT", "1") })),
  top_k: mostly(fc.integer({ min: 1, max: 9 })),
  seed: mostly(fc.maxSafeInteger()),
  frequency_penalty: mostly(fc.double({ min: -2, max: 2, noNaN: true })),
  reasoning_effort: mostly(fc.constantFrom("minimal", "low", "medium", "high")),
};
const prompt = mostly(text);
const messages = mostly(fc.array(message, { maxLength: 4 }));
const bodies: Record<string, fc.Arbitrary<object>> = {
  "/enqueue": fc.record({ prompt, ...ofBoth }, { requiredKeys: ["prompt", "environment"] }),
  "/v1/jobs": fc.oneof(
    fc.record({ prompt, ...ofJobs }, { requiredKeys: ["prompt", "environment"] }),
    fc.record({ messages, ...ofJobs }, { requiredKeys: ["messages", "environment"] }),
    fc.record({ prompt, messages, ...ofJobs }, { requiredKeys: [] }),
    fc.record({ messages, ...ofJobs, ...ofContent }, { requiredKeys: ["messages", "environment"] }),
  ),
};

/** Taken with an id that leads to the job, or refused and not on record. */
async function expectTakenOrRefused(answer: Answer, countBefore: number) {
  if (answer.status === 200) {
    const status = await server.get(`/status/${answer.body.job_id}`);
    expect(status.status, status.text).toBe(200);
  } else {
    expect(answer.status, answer.text).toBeGreaterThanOrEqual(400);
    expect(answer.status, answer.text).toBeLessThan(500);
    expect(answer.body.error).toMatchObject({ code: expect.any(String), message: expect.any(String) });
    expect(answer.text.length).toBeLessThan(4000);
    expect(await server.context.countJobs()).toBe(countBefore);
  }
}

test.each(Object.entries(bodies))("%s: bodies that are nearly right", async (url, body) => {
  let taken = 0;
  await fc.assert(
    fc.asyncProperty(body, async (value) => {
      const before = await server.context.countJobs();
      const answer = await server.post(url, value);
      if (answer.status === 200) taken++;
      await expectTakenOrRefused(answer, before);
    }),
    { numRuns: 800 },
  );
  expect(taken, "some must be taken, or nothing behind the schema was tried").toBeGreaterThan(40);
});

test("any JSON", async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom("/enqueue", "/v1/jobs"), fc.json(), async (url, json) => {
      await expectTakenOrRefused(await server.post(url, json), await server.context.countJobs());
    }),
    { numRuns: 200 },
  );
});

test("any bytes, of any type", async () => {
  const type = fc.oneof(
    fc.constant("application/json"),
    fc.constantFrom("text/plain", "application/xml", "*/*", "", "application/json;charset", ";"),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom("/enqueue", "/v1/jobs", "/v1/jobs/x/cancel", "/nothing"),
      fc.uint8Array(),
      type,
      async (url, bytes, contentType) => {
        const answer = await server.post(url, Buffer.from(bytes), { "content-type": contentType });
        await expectTakenOrRefused(answer, await server.context.countJobs());
      },
    ),
    { numRuns: 200 },
  );
});

test("any path and query", async () => {
  const piece = fc.oneof(
    fc.webSegment(),
    fc.constantFrom("v1", "jobs", "status", "..", "%", "%00", "docs", "static", "cancel"),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 5 }), fc.webQueryParameters(), async (pieces, query) => {
      const { status, text: body } = await server.get(`/${pieces.join("/")}?${query}`);
      expect(status, body).toBeLessThan(500);
    }),
    { numRuns: 300 },
  );
});

test("any query of the list", async () => {
  const names = [
    "environment",
    "status",
    "model",
    "tenant",
    "priority",
    "submitted_after",
    "submitted_before",
    "limit",
    "cursor",
  ];
  await fc.assert(
    fc.asyncProperty(
      fc.dictionary(fc.constantFrom(...names), fc.oneof(text, fc.nat().map(String)), { maxKeys: 3 }),
      async (query) => {
        const search = Object.entries(query).map(
          ([key, value]) => `${key}=${encodeURIComponent(value.replace(/\p{Surrogate}/gu, "?"))}`,
        );
        const { status, text: body } = await server.get(`/v1/jobs?${search.join("&")}`);
        expect(status, body).toBeLessThan(500);
      },
    ),
    { numRuns: 300 },
  );
});
