// The dashboard's server side: the page and its address, sign-in, and whose calls a session's cookie admits.
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import Fastify, { type InjectOptions } from "fastify";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { DashboardPage } from "../../src/http/ui/page.ts";
import { isPagePath, pagePaths } from "../../src/http/ui/page-paths.ts";
import { pageRoutes } from "../../src/http/ui/page-routes.ts";
import { commandCaller } from "../../src/jobs/caller.ts";
import { createKey, revokeKey } from "../../src/jobs/keys/keys.ts";
import { sweepSessions } from "../../src/jobs/sessions/sessions.ts";
import { type ServerUnderTest, startServerUnderTest } from "./server-under-test.ts";

const web = resolve(import.meta.dirname, "../../dist/web");
const samePage = { "sec-fetch-site": "same-origin" };

let server: ServerUnderTest;
let address: string;
let now = 1_800_000_000_000;
beforeAll(async () => {
  server = await startServerUnderTest({}, undefined, { clock: { now: () => now, wall: () => now } });
  address = await server.app.listen({ host: "127.0.0.1", port: 0 });
});
afterAll(() => server.close());

test("no sign-in is needed while there are no keys", async () => {
  expect((await server.get("/ui/api/session")).body).toMatchObject({ signed_in: true, sign_in_required: false });
  expect((await server.get("/ui/api/v1/jobs")).status).toBe(200);
  expect((await signIn("anything")).statusCode).toBe(409);
});

async function key(fields: { admin?: boolean; name?: string; readOnly?: boolean } = {}) {
  const { key, record } = await createKey(server.context, { name: "op", ...fields }, commandCaller);
  await server.context.keys.note(record);
  return { id: record.id, text: key.text };
}

/** Returns a key with the same id and another secret. */
const wrongFormOf = (text: string) => `${text.slice(0, -1)}${text.endsWith("x") ? "y" : "x"}`;

const send = (options: InjectOptions) => server.app.inject(options);
const signIn = (text: string, headers: Record<string, string> = samePage) =>
  send({ method: "POST", url: "/ui/api/session", headers, payload: { key: text } });

async function cookieOf(text: string): Promise<string> {
  const [set] = [(await signIn(text)).headers["set-cookie"]].flat();
  return String(set).split(";")[0]!;
}

describe("the page", () => {
  test("is the same document at every address below /ui/, with the policy that admits only its own files", async () => {
    for (const url of ["/ui/", "/ui/jobs", "/ui/jobs/0b5c?x=1"]) {
      const { statusCode, headers, payload } = await send({ url });
      expect(statusCode).toBe(200);
      expect(headers["content-security-policy"]).toMatch(/^default-src 'none'; script-src 'self';/);
      expect(headers["content-security-policy"]).toContain("require-trusted-types-for 'script'");
      expect(headers).toMatchObject({ "cache-control": "no-store", "x-content-type-options": "nosniff" });
      expect(payload).toContain('<base href="/ui/">');
      // An inline script or style would be refused by the policy.
      expect(payload).not.toMatch(/<script(?![^>]*\ssrc=)|<style| style=| on\w+=/i);
    }
  });

  test("has status 404 at addresses that lead to no page, also at those that cannot be decoded", async () => {
    for (const url of ["/ui/nope", "/ui/jobs/a/b", "/ui/usage/x", "/ui/jobs/%E0%A4%A", "/ui/favicon.ico"]) {
      const { statusCode, headers, payload } = await send({ url });
      expect([url, statusCode, payload.slice(0, 15)]).toEqual([url, 404, "<!doctype html>"]);
      expect(headers["content-security-policy"]).toContain("default-src 'none'");
    }
    expect((await server.get("/v1/jobs/%E0%A4%A")).body.error.code).toBe("invalid_request");
    expect((await server.get("/ui/api/v1/jobs/%E0%A4%A")).body.error.code).toBe("invalid_request");
  });

  test("has the addresses that the server knows", () => {
    const main = readFileSync(join(import.meta.dirname, "../../web/src/main.tsx"), "utf8");
    const routes = [...main.matchAll(/<Route path=\{to\("([^"]*)"\)\}/g)].map(([, path]) => path);
    expect(routes.sort()).toEqual([...pagePaths].sort());
    for (const path of pagePaths) expect(isPagePath(path.replace(":id", "0b5c"))).toBe(true);
  });

  test("says that it is not built, without a warning of the log", async () => {
    const warnings: string[] = [];
    const logger = { level: "warn", stream: { write: (line: string) => warnings.push(line) } };
    const app = Fastify({ logger }).withTypeProvider<TypeBoxTypeProvider>();
    pageRoutes(app, new DashboardPage(undefined, join(web, "not-built/")));
    for (const url of ["/ui/", "/ui/assets/x.js"]) {
      const { statusCode, payload } = await app.inject({ url });
      expect([statusCode, payload]).toEqual([404, expect.stringContaining("Run npm run build")]);
    }
    await app.close();
    expect(warnings).toEqual([]);
  });

  test("its unknown calls and missing files get an error of the API", async () => {
    for (const [method, url] of [
      ["GET", "/ui/api/nope"],
      ["POST", "/ui/api/nope"],
      ["GET", "/ui/api/"],
      ["GET", "/ui/assets/nope.js"],
    ] as const) {
      const { statusCode, headers, payload } = await send({ method, url });
      expect([url, statusCode, headers["content-type"]]).toEqual([url, 404, "application/json; charset=utf-8"]);
      expect(JSON.parse(payload).error).toMatchObject({
        code: "not_found",
        message: `There is no route for ${method} ${url}.`,
      });
    }
  });

  test("has its files under names that never change, compressed", async () => {
    await key();
    const script = readdirSync(join(web, "assets")).find((name) => name.endsWith(".js"))!;
    const { statusCode, headers } = await send({
      url: `/ui/assets/${script}`,
      headers: { "accept-encoding": "gzip" },
    });
    expect(statusCode).toBe(200);
    expect(headers).toMatchObject({ "content-encoding": "gzip", "x-content-type-options": "nosniff" });
    expect(headers["cache-control"]).toContain("immutable");
    expect((await send({ url: "/ui/assets/nothing.js" })).statusCode).toBe(404);
    expect((await send({ url: "/ui/assets/../../package.json" })).payload).not.toContain('"dependencies"');
  });

  test("takes at most 90 KB gzipped in all", () => {
    const sizes = readdirSync(join(web, "assets")).filter((name) => name.endsWith(".gz"));
    const total = sizes.reduce((sum, name) => sum + readFileSync(join(web, "assets", name)).length, 0);
    expect(sizes.length).toBeGreaterThan(0);
    expect(total).toBeLessThan(90_000);
  });

  test.each([
    [{ "x-forwarded-prefix": "/queue" }, "/queue/ui/"],
    [{ "x-forwarded-prefix": "/a/b-c/" }, "/a/b-c/ui/"],
    [{ "x-forwarded-prefix": '/x"><script>alert(1)</script>' }, "/ui/"],
    [{ "x-forwarded-prefix": "//evil.example" }, "/ui/"],
    [{ "x-forwarded-prefix": "https://evil.example" }, "/ui/"],
  ])("lies below the prefix that a proxy names: %j", async (headers, base) => {
    expect((await send({ url: "/ui/jobs", headers })).payload).toContain(`<base href="${base}">`);
  });

  test("/ leads browsers to it, and programs to the links", async () => {
    const browser = await send({ url: "/", headers: { accept: "text/html,application/xhtml+xml" } });
    expect([browser.statusCode, browser.headers.location]).toEqual([302, "ui/"]);
    expect((await send({ url: "/", headers: { accept: "*/*" } })).payload).toContain("openapi.json");
  });

  test("SLUICE_UI=off removes it, and the public address decides the prefix", async () => {
    const off = await startServerUnderTest({}, undefined, { settings: { dashboard: false } });
    for (const url of ["/ui/", "/ui/api/session", "/ui/api/live", "/ui/api/v1/jobs"])
      expect((await off.get(url)).status).toBe(404);
    expect((await off.get("/", { accept: "text/html" })).status).toBe(200);
    await off.close();
    const named = await startServerUnderTest({}, undefined, { settings: { publicUrl: "https://x.example/q" } });
    expect((await named.get("/ui/", { "x-forwarded-prefix": "/other" })).text).toContain('<base href="/q/ui/">');
    await named.close();
  });
});

describe("a session", () => {
  test("is a random id in a cookie that no script can read; the store holds neither it nor the key", async () => {
    const { text } = await key({ admin: true });
    const answer = await signIn(text);
    expect(answer.json()).toMatchObject({ signed_in: true, admin: true, read_only: false });
    const cookie = String(answer.headers["set-cookie"]);
    expect(cookie).toMatch(/^sluice=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=604800$/);
    const id = cookie.slice("sluice=".length, cookie.indexOf(";"));
    const stored = await server.context.store.records.list({ collection: "sessions" }, { limit: 10 });
    expect(stored.items).toHaveLength(1);
    expect(JSON.stringify(stored)).not.toContain(id);
    expect(JSON.stringify(stored)).not.toContain(text.slice(-30));
    expect((await signIn(text)).headers["set-cookie"]).not.toBe(cookie);
  });

  test("takes a key that was copied with spaces and line breaks, and says in words that a text is no key", async () => {
    const { text } = await key();
    expect((await signIn(` ${text.slice(0, 20)}\r\n ${text.slice(20)}\n`)).statusCode).toBe(200);
    for (const no of ["what is this", " ", "é"]) {
      expect((await signIn(no)).json().error.message).toBe("The API key is unknown.");
    }
  });

  test("ends when the same browser signs in with another key", async () => {
    const [one, two] = [await key({ name: "one" }), await key({ name: "two" })];
    const cookie = await cookieOf(one.text);
    await signIn(two.text, { ...samePage, cookie });
    expect((await send({ url: "/ui/api/session", headers: { ...samePage, cookie } })).json().signed_in).toBe(false);
  });

  test("has a cookie for TLS only if the browser uses TLS", async () => {
    const { text } = await key();
    const answer = await signIn(text, { ...samePage, "x-forwarded-proto": "https" });
    expect(answer.headers["set-cookie"]).toMatch(/^__Host-sluice=.*; Path=\/; .*; Secure$/);
  });

  test("over TLS, a cookie that another host of the domain has set does not count", async () => {
    const [own, foreign] = [await key({ name: "own" }), await key({ name: "foreign" })];
    const tls = { ...samePage, "x-forwarded-proto": "https" };
    const set = String((await signIn(own.text, tls)).headers["set-cookie"]).split(";")[0]!;
    const tossed = await cookieOf(foreign.text);
    const tenantOf = async (cookie: string, headers: Record<string, string>) =>
      (await send({ url: "/ui/api/session", headers: { ...headers, cookie } })).json().tenant;
    expect(await tenantOf(`${tossed}; ${set}`, tls)).toBe("own");
    expect(await tenantOf(tossed, tls)).toBeNull();
    expect(await tenantOf(tossed, samePage)).toBe("foreign");
  });

  test("admits the page's calls, as the caller of the key", async () => {
    const { text } = await key({ name: "billing" });
    const cookie = await cookieOf(text);
    const headers = { cookie, ...samePage };
    const created = await send({
      method: "POST",
      url: "/ui/api/v1/jobs",
      headers,
      payload: { prompt: "Why?", environment: "UAT" },
    });
    expect(created.json()).toMatchObject({ tenant: "billing", status: "queued" });
    expect((await send({ url: "/ui/api/v1/keys", headers })).statusCode).toBe(403);
    expect((await send({ url: "/ui/api/session", headers })).json()).toMatchObject({ tenant: "billing", admin: false });
  });

  test("does not admit calls of the API proper, nor those of other pages", async () => {
    const { text } = await key({ admin: true });
    const cookie = await cookieOf(text);
    expect((await send({ url: "/v1/jobs", headers: { cookie, ...samePage } })).statusCode).toBe(401);
    expect((await send({ url: "/ui/api/../../v1/jobs", headers: { cookie, ...samePage } })).statusCode).not.toBe(200);
    const foreign: Record<string, string>[] = [
      { "sec-fetch-site": "cross-site" },
      { "sec-fetch-site": "same-site" },
      { "sec-fetch-site": "none" },
      { origin: "https://evil.example" },
      { origin: "null" },
      { origin: "http://localhost:81" },
      {},
    ];
    for (const headers of foreign) {
      const { statusCode } = await send({
        method: "POST",
        url: "/ui/api/v1/pause",
        headers: { cookie, host: "localhost:80", ...headers },
        payload: { model: "llama3-3-70b" },
      });
      expect([headers, statusCode]).toEqual([headers, 403]);
      expect((await signIn(text, { host: "localhost:80", ...headers })).statusCode).toBe(403);
    }
    const own = { cookie, host: "localhost:80", origin: "http://localhost:80" };
    const paused = await send({
      method: "POST",
      url: "/ui/api/v1/pause",
      headers: own,
      payload: { model: "llama3-3-70b" },
    });
    expect(paused.statusCode).toBe(200);
  });

  test("an API key in the header wins over the cookie", async () => {
    const admin = await key({ admin: true });
    const tenant = await key({ name: "t" });
    const headers = { cookie: await cookieOf(admin.text), authorization: `Bearer ${tenant.text}`, ...samePage };
    expect((await send({ url: "/ui/api/v1/keys", headers })).statusCode).toBe(403);
  });

  test("ends when it is signed out, when its key is revoked, after 12 idle hours, and after 7 days", async () => {
    const admin = await key({ admin: true });
    const works = async (cookie: string) =>
      (await send({ url: "/ui/api/v1/jobs", headers: { cookie, ...samePage } })).statusCode === 200;
    const signedOut = await cookieOf(admin.text);
    expect(await works(signedOut)).toBe(true);
    const answer = await send({
      method: "DELETE",
      url: "/ui/api/session",
      headers: { cookie: signedOut, ...samePage },
    });
    expect(String(answer.headers["set-cookie"])).toContain("Max-Age=0");
    expect(await works(signedOut)).toBe(false);

    const other = await key({ name: "short" });
    const revoked = await cookieOf(other.text);
    expect(await works(revoked)).toBe(true);
    await server.context.keys.note(await revokeKey(server.context, other.id, commandCaller));
    expect(await works(revoked)).toBe(false);

    const idle = await cookieOf(admin.text);
    const used = await cookieOf(admin.text);
    const hour = 3_600_000;
    for (let hours = 0; hours < 7 * 24; hours += 8) {
      expect(await works(used)).toBe(true);
      now += 8 * hour;
    }
    expect(await works(used)).toBe(false);
    expect(await works(idle)).toBe(false);
    now += 1;
    await sweepSessions(server.context);
    expect((await server.context.store.records.list({ collection: "sessions" }, { limit: 10 })).items).toEqual([]);
  });

  test("after ten wrong keys in a minute, an address is told to wait; a correct key still signs in", async () => {
    const { text } = await key();
    const wrong = wrongFormOf(text);
    for (let i = 0; i < 10; i++) expect((await signIn(wrong)).statusCode).toBe(401);
    now += 20_000;
    const refused = await signIn(wrong);
    expect([refused.statusCode, refused.headers["retry-after"]]).toEqual([429, "40"]);
    expect(refused.json().error).toMatchObject({
      code: "limit_exceeded",
      message: "Too many wrong keys came from your address. Check the key, and try again in 40 s.",
    });
    expect((await signIn(text)).statusCode).toBe(200);
    now += 40_000;
    expect((await signIn(wrong)).statusCode).toBe(401);
  });
});

describe("behind a trusted proxy", () => {
  let proxied: ServerUnderTest;
  beforeAll(async () => {
    proxied = await startServerUnderTest({ trustedProxies: ["127.0.0.0/8", "10.0.0.1"] });
  });
  afterAll(() => proxied.close());

  const tryAt = async (app: ServerUnderTest["app"], forwardedFor: string, key: string, remoteAddress = "127.0.0.1") => {
    const headers = { ...samePage, "x-forwarded-for": forwardedFor };
    return (await app.inject({ method: "POST", url: "/ui/api/session", headers, payload: { key }, remoteAddress }))
      .statusCode;
  };

  test("each client has its own wrong keys; a client cannot name another address", async () => {
    const { key, record } = await createKey(proxied.context, { name: "op", admin: true }, commandCaller);
    await proxied.context.keys.note(record);
    const wrong = wrongFormOf(key.text);
    for (let i = 0; i < 10; i++)
      expect(await tryAt(proxied.app, `198.51.100.${i}, 192.0.2.1, 10.0.0.1`, wrong)).toBe(401);
    expect(await tryAt(proxied.app, "192.0.2.1", wrong)).toBe(429);
    expect(await tryAt(proxied.app, "192.0.2.2", wrong)).toBe(401);
    // Not an address: it counts as the proxy's own.
    for (let i = 0; i < 10; i++) expect(await tryAt(proxied.app, `unknown${i}`, wrong)).toBe(401);
    expect(await tryAt(proxied.app, "x".repeat(500), wrong)).toBe(429);
    // Not a trusted proxy.
    for (let i = 0; i < 10; i++) expect(await tryAt(proxied.app, `192.0.2.${i}`, wrong, "203.0.113.9")).toBe(401);
    expect(await tryAt(proxied.app, "192.0.2.99", wrong, "203.0.113.9")).toBe(429);

    await proxied.app.inject({
      method: "POST",
      url: "/v1/pause",
      headers: { authorization: `Bearer ${key.text}`, "x-forwarded-for": "192.0.2.7" },
      payload: { model: "llama3-3-70b" },
    });
    const { body } = await proxied.as(key.text).get("/v1/audit?action=calls.pause");
    expect(body.data[0].actor.address).toBe("192.0.2.7");
  });

  test("X-Forwarded-Host and X-Forwarded-Proto change no check of host and origin", async () => {
    const open = await startServerUnderTest({ trustedProxies: ["127.0.0.1"] });
    const status = async (headers: Record<string, string>) => (await open.get("/v1/jobs", headers)).status;
    expect(await status({ host: "localhost:80" })).toBe(200);
    expect(await status({ host: "evil.example", "x-forwarded-host": "localhost" })).toBe(403);
    const forwarded = { "x-forwarded-host": "evil.example", "x-forwarded-proto": "https" };
    expect(await status({ host: "localhost:80", origin: "https://evil.example", ...forwarded })).toBe(403);
    expect(await status({ host: "localhost:80", origin: "http://localhost:80", ...forwarded })).toBe(200);
    await open.close();
  });
});

test("the live stream ends when the key is revoked, at once here and with the next look at the keys elsewhere", async () => {
  const streamOf = async (text: string) => {
    const { body } = await fetch(`${address}/ui/api/live`, { headers: { cookie: await cookieOf(text), ...samePage } });
    return { text: new Response(body).text() };
  };
  const here = await key({ name: "here" });
  const elsewhere = await key({ name: "elsewhere" });
  const started = performance.now();
  const [first, second] = [await streamOf(here.text), await streamOf(elsewhere.text)];
  await server.context.keys.note(await revokeKey(server.context, here.id, commandCaller));
  expect(await first.text).toMatch(/event: signed_out\ndata: \{\}\n\n$/);
  await revokeKey(server.context, elsewhere.id, commandCaller);
  await server.context.keys.refresh();
  expect(await second.text).toContain("event: signed_out");
  // The check without a change takes five seconds.
  expect(performance.now() - started).toBeLessThan(4_000);
});

test("the events of a job end with the key of their reader, whether it has a key or a session", async () => {
  const { id, text } = await key({ name: "reader" });
  const authorization = `Bearer ${text}`;
  const payload = { prompt: "Why?", environment: "UAT" };
  const job = await send({ method: "POST", url: "/v1/jobs", headers: { authorization }, payload });
  const path = `/v1/jobs/${job.json().job_id}/events`;
  const streams = [
    await fetch(address + path, { headers: { authorization } }),
    await fetch(`${address}/ui/api${path}`, { headers: { cookie: await cookieOf(text), ...samePage } }),
  ];
  await server.context.keys.note(await revokeKey(server.context, id, commandCaller));
  for (const stream of streams) {
    expect(await stream.text()).toMatch(/event: closed\ndata: \{"reason":"unauthenticated"\}\n\n$/);
  }
});

test("the live stream shows an admin the queue, and a tenant only quotas and deployments", async () => {
  const admin = await key({ admin: true });
  const tenant = await key({ name: "t" });
  const first = async (cookie: string) => {
    const abort = new AbortController();
    const response = await fetch(`${address}/ui/api/live`, { headers: { cookie, ...samePage }, signal: abort.signal });
    const { value } = await response.body!.pipeThrough(new TextDecoderStream()).getReader().read();
    abort.abort();
    return JSON.parse(value!.slice("data: ".length, value!.indexOf("\n\n")));
  };
  expect(await first(await cookieOf(admin.text))).toMatchObject({ stats: { running: 0 }, deployments: [{}, {}] });
  const seen = await first(await cookieOf(tenant.text));
  expect(seen).toHaveProperty("quotas");
  expect(seen).not.toHaveProperty("stats");
  await vi.waitFor(async () => expect((await fetch(`${address}/ui/api/live`)).status).toBe(401));
});
