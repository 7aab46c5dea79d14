// Pages of other sites cannot use a service that has no login.
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ServerUnderTest, startServerUnderTest } from "./server-under-test.ts";

let local: ServerUnderTest;
let open: ServerUnderTest;
beforeAll(async () => {
  local = await startServerUnderTest({ host: "127.0.0.1" });
  open = await startServerUnderTest({ host: "0.0.0.0" });
});
afterAll(() => Promise.all([local.close(), open.close()]));

test.each([
  "localhost:8000",
  "127.0.0.1:8000",
  "127.0.0.1",
  "[::1]:8000",
  "sluice.localhost",
  "10.0.0.7:80",
  "LOCALHOST",
])("Host: %s leads here", async (host) => {
  expect((await local.get("/healthz", { host })).status).toBe(200);
});

test.each([
  "evil.example:8000",
  "evil.example",
  "localhost.evil.example",
  "127.0.0.1.evil.example",
  "127.0.0.1@evil.example",
])("Host: %s does not", async (host) => {
  const { status, body } = await local.get("/v1/jobs", { host });
  expect(status).toBe(403);
  expect(body.error).toMatchObject({ code: "cross_origin", field: "Host" });
  // On a network the service has names that only its operator knows.
  expect((await open.get("/v1/jobs", { host })).status).toBe(200);
});

test.each(["http://evil.example", "https://evil.example:8000", "null", "http://127.0.0.1.evil.example", "file://"])(
  "pages of %s may not call",
  async (origin) => {
    for (const server of [local, open]) {
      const jobId = await server.enqueue();
      const answer = await server.app.inject({
        method: "POST",
        url: `/v1/jobs/${jobId}/cancel`,
        headers: { host: "127.0.0.1:8000", origin },
      });
      expect(answer.statusCode).toBe(403);
      expect(answer.json().error).toMatchObject({ code: "cross_origin", field: "Origin" });
      expect((await server.context.store.get(jobId))?.state).toBe("queued");
    }
  },
);

test("pages of the same host may", async () => {
  const answer = await local.get("/v1/jobs", { host: "localhost:8000", origin: "http://localhost:5173" });
  expect(answer.status).toBe(200);
});

test("no answer lets another site read it", async () => {
  const preflight = await local.app.inject({
    method: "OPTIONS",
    url: "/enqueue",
    headers: { origin: "http://evil.example", "access-control-request-method": "POST" },
  });
  expect(preflight.statusCode).toBe(403);
  for (const { headers } of [preflight, await local.get("/v1/jobs"), await local.get("/openapi.json")]) {
    expect(Object.keys(headers).filter((h) => h.startsWith("access-control-"))).toEqual([]);
  }
});
