// The size of bodies: /enqueue takes a prompt and little else, the other routes take what Bedrock takes.
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ServerUnderTest, startServerUnderTest } from "./server-under-test.ts";

let server: ServerUnderTest;
beforeAll(async () => {
  server = await startServerUnderTest({ limits: { maxRequestBytes: 100_000, maxPromptBytes: 20_000 } });
});
afterAll(() => server.close());

const bodyOf = (bytes: number) => {
  const start = '{"environment":"UAT","prompt":"Hello.","metadata":{"label":"';
  return `${start}${"x".repeat(bytes - start.length - 3)}"}}`;
};

test.each([
  ["/enqueue", 80_000, "80000 bytes (limits.maxPromptBytes). POST /v1/jobs takes larger ones."],
  ["/v1/jobs", 100_000, "100000 bytes (limits.maxRequestBytes)."],
])("%s takes %i bytes", async (path, bytes, message) => {
  const post = (length: number) => server.post(path, bodyOf(length), { "content-type": "application/json" });
  // The label is too long, so the body was read.
  expect((await post(bytes)).body.error.field).toContain("metadata");
  const { status, body } = await post(bytes + 1);
  expect(status).toBe(413);
  expect(body.error).toMatchObject({ field: "body", message: `The body is larger than ${message}` });
});
