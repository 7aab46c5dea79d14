// Whatever is sent, it is either taken or refused with a 4xx; nothing that a client can send is our failure.
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Answer, type ServerUnderTest, startServerUnderTest } from "./server-under-test.ts";

let server: ServerUnderTest;
beforeAll(async () => {
  server = await startServerUnderTest();
});
afterAll(() => server.close());

const text = fc.string({
  unit: fc.oneof(
    fc.constantFrom("a", " ", "\n", "\0", "ü", "漢", "😀", "\ud800", "\udc00", '"'),
    fc.string({ unit: "binary", maxLength: 1, minLength: 1 }),
  ),
});
const anything = fc.oneof(fc.jsonValue(), text, fc.double(), fc.integer(), fc.constant(null));
/** Mostly right, so that the checks behind the schema are reached as well. */
const sometimes = <T>(right: fc.Arbitrary<T>) =>
  fc.oneof({ arbitrary: right, weight: 8 }, { arbitrary: anything, weight: 1 });

const part = sometimes(fc.record({ type: sometimes(fc.constant("text")), text: sometimes(text) }));
const message = sometimes(
  fc.record({
    role: sometimes(fc.constantFrom("user", "assistant", "system")),
    content: fc.oneof(sometimes(text), fc.array(part, { maxLength: 3 })),
  }),
);

const body = fc.record(
  {
    prompt: sometimes(text),
    messages: sometimes(fc.array(message, { maxLength: 4 })),
    environment: sometimes(fc.constantFrom("UAT", "PROD")),
    model: sometimes(fc.constantFrom("llama3-3-70b", "nova-lite")),
    system: sometimes(text),
    max_tokens: sometimes(fc.integer({ min: 1, max: 6000 })),
    temperature: sometimes(fc.double({ min: 0, max: 1 })),
    top_p: sometimes(fc.double({ min: 0, max: 1 })),
    priority: sometimes(fc.constantFrom("interactive", "standard", "batch")),
    expires_in: sometimes(fc.integer({ min: 1, max: 1e6 })),
    metadata: sometimes(fc.dictionary(text, text, { maxKeys: 3 })),
    stop: sometimes(fc.array(text, { maxLength: 3 })),
    regions: sometimes(fc.constant(["us-east-1"])),
    fallback_models: sometimes(fc.array(fc.constantFrom("llama3-3-70b", "nova-lite"), { maxLength: 3 })),
    on_unknown: sometimes(fc.constantFrom("retry", "fail")),
    not_before: sometimes(
      fc.oneof(
        fc.double({ min: 0, max: 100 }),
        fc.date({ noInvalidDate: true }).map((d) => d.toISOString()),
      ),
    ),
  },
  { requiredKeys: ["environment"] },
);

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

test.each(["/enqueue", "/v1/jobs"])("%s: bodies that are nearly right", async (url) => {
  let taken = 0;
  await fc.assert(
    fc.asyncProperty(body, async (value) => {
      const before = await server.context.countJobs();
      const answer = await server.post(url, value);
      if (answer.status === 200) taken++;
      await expectTakenOrRefused(answer, before);
    }),
    { numRuns: 400 },
  );
  expect(taken, "some must be taken, or nothing behind the schema was tried").toBeGreaterThan(0);
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
