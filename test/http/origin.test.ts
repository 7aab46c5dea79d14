// Pages of other sites cannot use a service that has no login.
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parseAuthority } from "../../src/http/hooks/authority.ts";
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

test.each([
  "[::1].evil.example",
  "[::1]evil.example:8000",
  "[::1",
  "[::1%25lo]:8000",
  "[fe80::1%eth0]",
  "[evil.example]",
  "[]",
  "::1",
  "localhost.",
  "127.0.0.1.",
  "localhost:",
  "localhost:0",
  "localhost:65536",
  "localhost:8000:80",
  "localhost:80a",
  "localhost:-1",
  "localhost:8000@evil.example",
  "user@localhost",
  "user:pass@127.0.0.1:8000",
  "127.1",
  "2130706433",
  "0x7f000001",
  "0x7f.0.0.1",
  "0177.0.0.1",
  "127.0.0.1.1",
  "256.0.0.1",
  "127.0.0.1/evil.example",
  "localhost#evil.example",
  "localhost?evil.example",
  "localhost\\evil.example",
  "localhost, evil.example",
  "localhost evil.example",
  ".localhost",
  "a..localhost",
  "localhost%2eevil.example",
  "loc\u00e4lhost",
])("E5: Host: %s is refused", async (host) => {
  const { status, body } = await local.get("/v1/jobs", { host });
  expect(status).toBe(403);
  expect(body.error).toMatchObject({ code: "cross_origin", field: "Host" });
});

test("E5: random authorities are allowed only if a browser would resolve them to this machine", () => {
  const part = fc.constantFrom(
    "[",
    "]",
    "::1",
    "localhost",
    "127.0.0.1",
    ".",
    ":",
    "80",
    "@",
    "evil.example",
    "%",
    "0x7f",
    "1",
    "-",
    "/",
    "\\",
  );
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 5 }), (parts) => {
      const text = parts.join("");
      const authority = parseAuthority(text);
      if (!authority) return;
      // What the URL parser makes of it is what a browser would connect to.
      const url = new URL(`http://${text}/`);
      expect(url.hostname.replace(/^\[|\]$/g, "")).toBe(authority.host);
      expect(url.username).toBe("");
    }),
    { numRuns: 2000, seed: 20_261_130 },
  );
});

test.each([
  ["localhost:8000", "http://localhost:8000"],
  ["LOCALHOST:8000", "http://localhost:8000"],
  ["[::1]:8000", "http://[::1]:8000"],
  ["localhost", "http://localhost"],
  ["localhost:80", "http://localhost"],
  ["sluice.localhost", "https://sluice.localhost"],
  ["localhost:443", "https://localhost"],
  ["127.0.0.1:8000", "https://127.0.0.1:8000"],
])("pages of the same origin may call: Host %s, Origin %s", async (host, origin) => {
  expect((await local.get("/v1/jobs", { host, origin })).status).toBe(200);
});

test.each([
  ["127.0.0.1:8000", "http://127.0.0.1:3000"],
  ["127.0.0.1:8000", "http://127.0.0.1"],
  ["127.0.0.1:80", "http://127.0.0.1:8000"],
  ["localhost", "https://localhost:80"],
  ["localhost:443", "http://localhost"],
  ["127.0.0.1:8000", "http://localhost:8000"],
  ["127.0.0.1:8000", "http://127.0.0.1:8000@evil.example"],
  ["127.0.0.1:8000", "http://127.0.0.1:8000/evil"],
  ["127.0.0.1:8000", "http://127.0.0.1:8000, http://evil.example"],
  ["127.0.0.1:8000", "ftp://127.0.0.1:8000"],
  ["127.0.0.1:8000", "chrome-extension://127.0.0.1:8000"],
  ["127.0.0.1:8000", "null"],
  ["127.0.0.1:8000", ""],
])("E4: with Host %s, pages of Origin %s may not call", async (host, origin) => {
  for (const server of [local, open]) {
    const jobId = await server.enqueue();
    const { statusCode } = await server.app.inject({
      method: "POST",
      url: `/v1/jobs/${jobId}/cancel`,
      headers: { host, origin, "content-type": "application/x-www-form-urlencoded" },
    });
    expect(statusCode).toBe(403);
    expect((await server.context.store.get(jobId))?.state).toBe("queued");
  }
});

test.each([
  [
    "an image of another site",
    "GET",
    { "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image" },
    403,
  ],
  [
    "a script of another port",
    "GET",
    { "sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script" },
    403,
  ],
  [
    "a frame of another port",
    "GET",
    { "sec-fetch-site": "same-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe" },
    403,
  ],
  [
    "a form of another port without Origin",
    "POST",
    { "sec-fetch-site": "same-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" },
    403,
  ],
  [
    "a link on another site",
    "GET",
    { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" },
    200,
  ],
  [
    "an address that was typed",
    "GET",
    { "sec-fetch-site": "none", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" },
    200,
  ],
  [
    "its own page",
    "GET",
    { "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty" },
    200,
  ],
] as const)("E4: %s: %s", async (_what, method, headers, expected) => {
  const url = method === "GET" ? "/v1/jobs" : `/v1/jobs/${await local.enqueue()}/cancel`;
  const { statusCode } = await local.app.inject({ method, url, headers: { host: "127.0.0.1:8000", ...headers } });
  expect(statusCode).toBe(expected);
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
