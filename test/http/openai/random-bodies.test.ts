// Whatever is sent to OpenAI's paths is taken or refused with a 4xx in OpenAI's shape; nothing is our failure.
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { base64, dataUrl, pdf, png } from "../../support/media.ts";
import { type Answer, type ServerUnderTest, startServerUnderTest } from "../server-under-test.ts";

let server: ServerUnderTest;
beforeAll(async () => {
  server = await startServerUnderTest({}, undefined, { keepAliveMs: 5 });
  // Every accepted job completes at once.
  server.context.events.publishAccepted = (jobs) => {
    for (const { id } of jobs) {
      void server.context.end(id, { status: "completed", text: "x", finishReason: "stop", attempt: 1 });
    }
  };
});
afterAll(() => server.close());

const text = fc.string({ unit: "binary", maxLength: 8 });
const anything = fc.oneof(fc.jsonValue({ maxDepth: 2 }), text, fc.constantFrom("\ud800", "", " \n", "\0", 1e308, null));
/** Mostly right, so that the checks behind the schema are reached as well. */
const mostly = <T>(right: fc.Arbitrary<T>) =>
  fc.oneof({ arbitrary: right, weight: 40 }, { arbitrary: anything, weight: 1 });
const word = fc.constantFrom("a", "b", "look_up");
const args = fc.constantFrom("{}", '{"a":1}', "[", "", "1");
const schema = mostly(fc.constantFrom({ type: "object" }, {}, { $schema: "x" }));

const call = mostly(
  fc.record({
    id: mostly(word),
    type: fc.constant("function"),
    function: mostly(fc.record({ name: word, arguments: args })),
  }),
);
const url = mostly(
  fc.constantFrom(
    dataUrl("image/png", png()),
    dataUrl("image/jpg", png()),
    "https://a.b/c.png",
    "data:,",
    "data:;base64,%",
  ),
);
const file = mostly(
  fc.record({
    file_data: mostly(fc.constantFrom(dataUrl("application/pdf", pdf()), base64(pdf()), "data:text/plain;base64,eA==")),
    filename: mostly(fc.constantFrom("a.pdf", "a", "../ü.txt")),
  }),
);
const part = mostly(
  fc.oneof(
    fc.record({ type: mostly(fc.constantFrom("text", "input_text", "output_text")), text: mostly(text) }),
    fc.record({ type: fc.constant("image_url"), image_url: mostly(fc.record({ url, detail: mostly(word) })) }),
    fc.record({ type: fc.constant("file"), file }),
    fc.record({ type: fc.constant("input_image"), image_url: url, detail: mostly(word) }),
    file.map((given) => ({ type: "input_file", ...(typeof given === "object" ? given : {}) })),
  ),
);
const reasoning = fc.record(
  {
    type: mostly(fc.constantFrom("reasoning.text", "reasoning.encrypted", "reasoning.summary")),
    ...{ text: mostly(text), signature: mostly(word), data: mostly(word), summary: mostly(text) },
  },
  { requiredKeys: ["type"] },
);
const content = mostly(fc.oneof(fc.constant("Why?"), text, fc.array(part, { maxLength: 2 })));
const message = mostly(
  fc.record(
    {
      role: mostly(fc.constantFrom("user", "user", "assistant", "system", "developer", "tool")),
      content,
      tool_calls: mostly(fc.array(call, { maxLength: 2 })),
      tool_call_id: mostly(word),
      reasoning_content: mostly(text),
      reasoning_details: mostly(fc.array(reasoning, { maxLength: 2 })),
    },
    { requiredKeys: ["role", "content"] },
  ),
);
const fields = {
  model: mostly(fc.constantFrom("llama3-3-70b", "nova-lite")),
  temperature: mostly(fc.double({ min: 0, max: 1, noNaN: true })),
  top_p: mostly(fc.double({ min: 0, max: 1, noNaN: true })),
  stream: mostly(fc.boolean()),
  store: mostly(fc.boolean()),
  metadata: mostly(fc.dictionary(word, word, { maxKeys: 2 })),
  service_tier: mostly(fc.constantFrom("auto", "default")),
  environment: mostly(fc.constantFrom("UAT", "PROD")),
  fallback_models: mostly(fc.array(fc.constant("nova-lite"), { maxLength: 2 })),
  expires_in: mostly(fc.integer({ min: 1, max: 1000 })),
};
const user = fc.constant({ role: "user", content: "Why?" });
const bodies: Record<string, fc.Arbitrary<object>> = {
  "/v1/chat/completions": fc.record(
    {
      messages: mostly(fc.tuple(user, fc.array(message, { maxLength: 3 })).map(([first, rest]) => [first, ...rest])),
      ...fields,
      max_completion_tokens: mostly(fc.integer({ min: 1, max: 2100 })),
      stop: mostly(fc.array(word, { maxLength: 2 })),
      tools: mostly(
        fc.array(
          mostly(fc.record({ type: fc.constant("function"), function: fc.record({ name: word, parameters: schema }) })),
          {
            maxLength: 2,
          },
        ),
      ),
      tool_choice: mostly(fc.constantFrom("auto", "none")),
      response_format: mostly(fc.constantFrom({ type: "text" })),
      stream_options: mostly(fc.constant({ include_usage: true })),
    },
    { requiredKeys: ["messages"] },
  ),
  "/v1/responses": fc.record(
    {
      input: fc.oneof(
        mostly(fc.constant("Why?")),
        fc.array(
          fc.oneof(
            message,
            mostly(fc.record({ type: fc.constant("function_call"), call_id: word, name: word, arguments: args })),
            mostly(fc.record({ type: fc.constant("function_call_output"), call_id: word, output: content })),
            mostly(
              fc.record({
                type: fc.constant("reasoning"),
                summary: mostly(fc.array(fc.record({ text: mostly(text) }), { maxLength: 2 })),
                encrypted_content: mostly(fc.constantFrom(null, "sluice.1.e30", "sluice.1.!", "x")),
              }),
            ),
          ),
          { maxLength: 3 },
        ),
      ),
      ...fields,
      background: mostly(fc.boolean()),
      instructions: mostly(text),
      max_output_tokens: mostly(fc.integer({ min: 1, max: 2100 })),
      tools: mostly(
        fc.array(mostly(fc.record({ type: fc.constant("function"), name: word, parameters: schema })), {
          maxLength: 2,
        }),
      ),
      text: mostly(fc.constant({ format: { type: "text" } })),
    },
    { requiredKeys: ["input"] },
  ),
};

const shape = {
  error: {
    message: expect.any(String),
    type: expect.any(String),
    code: expect.any(String),
    param: expect.toSatisfy((param: unknown) => param === null || typeof param === "string"),
  },
};

function expectRefusal({ status, body, text }: Answer) {
  expect(status, text).toBeGreaterThanOrEqual(400);
  expect(status, text).toBeLessThan(500);
  expect(body).toEqual(shape);
  expect(text.length).toBeLessThan(4000);
}

test.each(Object.entries(bodies))("%s: bodies that are nearly right", async (url, body) => {
  let taken = 0;
  await fc.assert(
    fc.asyncProperty(body, async (value) => {
      const before = await server.context.countJobs();
      const answer = await server.post(url, value);
      if (answer.status === 200) {
        taken++;
        expect(answer.text).not.toContain("server_error");
        return;
      }
      expectRefusal(answer);
      expect(await server.context.countJobs(), "a refusal leaves nothing behind").toBe(before);
    }),
    { numRuns: 300 },
  );
  expect(taken, "some must be taken, or nothing behind the schema was tried").toBeGreaterThan(30);
});

test("any JSON and any bytes", async () => {
  const sent = fc.oneof(
    fc.json(),
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...Object.keys(bodies), "/v1/responses/x/cancel", "/v1/models", "/v1/chat"),
      sent,
      async (url, body) => expectRefusal(await server.post(url, body, { "content-type": "application/json" })),
    ),
    { numRuns: 150 },
  );
});

test("any id and any Last-Event-ID", async () => {
  const id = fc.oneof(
    fc.webSegment(),
    fc.uuid(),
    fc.uuid().map((uuid) => `resp_${uuid.replaceAll("-", "")}`),
  );
  await fc.assert(
    fc.asyncProperty(fc.constantFrom("/v1/responses/", "/v1/models/", "/v1/jobs/"), id, async (path, id) => {
      const { status, text } = await server.get(`${path}${id}`);
      expect(status, text).toBeLessThan(500);
    }),
    { numRuns: 100 },
  );
  const { body } = await server.post("/v1/jobs", { prompt: "x", environment: "UAT" });
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        fc.webSegment(),
        fc.tuple(fc.nat(), fc.nat(), fc.nat()).map((parts) => parts.join(".")),
      ),
      async (lastEventId) => {
        const { status, text } = await server.get(`/v1/jobs/${body.job_id}/events`, { "last-event-id": lastEventId });
        expect(status, text).toBeLessThan(500);
      },
    ),
    { numRuns: 50 },
  );
});
