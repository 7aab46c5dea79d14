// The size of bodies: /enqueue takes a prompt and little else, the other routes take what Bedrock takes. No body may
// have so many values that parsing it would block the process.
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ServerUnderTest, startServerUnderTest } from "./server-under-test.ts";

let server: ServerUnderTest;
beforeAll(async () => {
  server = await startServerUnderTest({ limits: { maxRequestBytes: 1_000_000, maxPromptBytes: 20_000 } });
});
afterAll(() => server.close());

const bodyOf = (bytes: number) => {
  const start = '{"environment":"UAT","prompt":"Hello.","metadata":{"label":"';
  return `${start}${"x".repeat(bytes - start.length - 3)}"}}`;
};

test.each([
  ["/enqueue", 80_000, "80000 bytes (limits.maxPromptBytes). POST /v1/jobs takes larger ones."],
  ["/v1/jobs", 1_000_000, "1000000 bytes (limits.maxRequestBytes)."],
])("%s takes %i bytes", async (path, bytes, message) => {
  const post = (length: number) => server.post(path, bodyOf(length), { "content-type": "application/json" });
  // The label is too long, so the body was read.
  expect((await post(bytes)).body.error.field).toContain("metadata");
  const { status, body } = await post(bytes + 1);
  expect(status).toBe(413);
  expect(body.error).toMatchObject({ field: "body", message: `The body is larger than ${message}` });
});

test.each([
  ["/v1/jobs", (value: string) => `{"environment":"UAT","native":{"operation":"converse","body":${value}}}`],
  ["/v1/chat/completions", (value: string) => `{"messages":${value}}`],
  ["/v1/messages", (value: string) => `{"model":"sonnet","messages":${value}}`],
  ["/model/nova/converse", (value: string) => `{"messages":${value}}`],
  ["/model/nova/count-tokens", (value: string) => `{"input":{"converse":{"messages":${value}}}}`],
])("%s refuses a body of too many values", async (path, bodyWith) => {
  const values = (count: number) => `["\\",,{[",${Array(count).fill("1").join(",")}]`;
  const post = (count: number) => server.post(path, bodyWith(values(count)), { "content-type": "application/json" });
  const message =
    "The body must have at most 350000 values; an element of a list and a member of an object are one each.";
  const { status, text } = await post(350_001);
  expect(status).toBe(400);
  expect(text).toContain(message);
  expect((await post(349_900)).text).not.toContain(message);
});
