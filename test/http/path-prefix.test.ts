// Behind a proxy that serves Sluice under a path of its own, as nginx does with `location /queue/ { proxy_pass http://sluice/; }`.
import { once } from "node:events";
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { runInNewContext } from "node:vm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { SluiceClient } from "../../src/client/index.ts";
import { type ServerUnderTest, startServerUnderTest } from "./server-under-test.ts";

let server: ServerUnderTest;
let proxy: Server;
let base: string;
beforeAll(async () => {
  server = await startServerUnderTest();
  await server.app.listen({ host: "127.0.0.1", port: 0 });
  const { port } = server.app.server.address() as AddressInfo;
  proxy = createServer((incoming, outgoing) => {
    const { method, url = "", headers } = incoming;
    if (!url.startsWith("/queue/")) return outgoing.writeHead(404).end();
    const forwarded = request({ port, method, path: url.slice("/queue".length), headers }, (answer) => {
      outgoing.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(outgoing);
    });
    incoming.pipe(forwarded);
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  base = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/queue/`;
});
afterAll(async () => {
  proxy.closeAllConnections();
  proxy.close();
  await server.close();
});

async function submit(): Promise<{ id: string; location: URL }> {
  const response = await fetch(new URL("v1/jobs", base), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ prompt: "Hello?", environment: "UAT" }),
  });
  const { job_id: id } = (await response.json()) as { job_id: string };
  return { id, location: new URL(response.headers.get("location")!, response.url) };
}

test("F14: Location leads to the job below the prefix, of a new job and of a retried one", async () => {
  const { id, location } = await submit();
  expect(location.href).toBe(`${base}v1/jobs/${id}`);
  expect(await (await fetch(location)).json()).toMatchObject({ job_id: id });
  await fetch(`${base}v1/jobs/${id}/cancel`, { method: "POST" });
  const retried = await fetch(`${base}v1/jobs/${id}/retry`, { method: "POST" });
  const again = new URL(retried.headers.get("location")!, retried.url);
  expect(again.href).toBe(`${base}v1/jobs/${((await retried.json()) as { job_id: string }).job_id}`);
});

test.each(["", "docs", "docs/", "docs?x=1", "docs/?x=1", "docs/static/index.html"])(
  "F14: everything that the page at /%s links to is below the prefix and answers",
  async (path) => {
    const page = await fetch(new URL(path, base));
    expect(page.status).toBe(200);
    expect(page.url.startsWith(base)).toBe(true);
    const links = [...(await page.text()).matchAll(/(?:src|href)="([^"]+)"/g)].map((m) => new URL(m[1]!, page.url));
    expect(links.length).toBeGreaterThan(3);
    for (const link of links) {
      expect(link.href.startsWith(base), link.href).toBe(true);
      expect((await fetch(link)).status, link.href).toBe(200);
    }
  },
);

test.each(["openapi.json", "docs/json"])("F14: the server that /%s names is the prefix", async (path) => {
  const response = await fetch(new URL(path, base));
  const { servers } = (await response.json()) as { servers: { url: string }[] };
  expect(servers.map(({ url }) => new URL(url, response.url).href)).toEqual([base]);
});

test("the page at docs shows the address below which it is served", async () => {
  const script = await (await fetch(new URL("docs/static/swagger-initializer.js", base))).text();
  const window: { location: URL; onload?: () => void } = { location: new URL("docs", base) };
  let config: { url?: string; responseInterceptor?: (response: object) => { text: string } } = {};
  const bundle = (given: typeof config) => {
    config = given;
    return { initOAuth() {} };
  };
  Object.assign(bundle, { presets: {}, plugins: {} });
  const document = { createElement: () => ({ href: "" }) };
  runInNewContext(script, { window, document, SwaggerUIBundle: bundle, SwaggerUIStandalonePreset: {} });
  window.onload!();
  const { url } = await fetch(new URL("docs/json", base));
  const { servers, info } = JSON.parse(
    config.responseInterceptor!({ url, text: await (await fetch(url)).text() }).text,
  ) as { servers: object[]; info: object };
  expect({ servers, info }).toMatchObject({ servers: [{ url: base.slice(0, -1) }], info: { title: "Sluice" } });
  const other = { url: `${base}v1/jobs`, text: "[]" };
  expect(config.responseInterceptor!(other)).toBe(other);
});

test("the OpenAPI document names the public address, if one is configured", async () => {
  const named = await startServerUnderTest({}, undefined, { settings: { publicUrl: "https://x.example/q/" } });
  expect((await named.get("/openapi.json")).body.servers).toEqual([{ url: "https://x.example/q" }]);
  await named.close();
});

test("F14: the client takes an address with a path", async () => {
  const sluice = new SluiceClient({ baseUrl: base });
  const { job_id: id } = await sluice.enqueue({ prompt: "Hello?", environment: "UAT" });
  expect((await sluice.get(id)).status).toBe("queued");
});

test.each(["docs", "docs/", "docs?x=1"])("the header of /%s links below the prefix", async (path) => {
  const page = await fetch(new URL(path, base));
  const src = /src="([^"]+header\.js)"/.exec(await page.text())![1]!;
  const links: { href: string; textContent: string }[] = [];
  const element = () => ({ append: (child: { href: string; textContent: string }) => links.push(child) });
  const document = {
    createElement: element,
    body: { prepend() {} },
    documentElement: { classList: { toggle() {} } },
  };
  const script = await (await fetch(new URL(src, page.url))).text();
  const globals = { URL, location: new URL(page.url), document, matchMedia: () => ({ addEventListener() {} }) };
  runInNewContext(script, globals);
  expect(links.map(({ textContent }) => textContent)).toEqual(["Sluice", "Dashboard", "OpenAPI document"]);
  expect(links.slice(1).map(({ href }) => href)).toEqual([`${base}ui/`, `${base}openapi.json`]);
});

test("E3: /docs asks a browser for nothing by https, and for nothing from elsewhere", async () => {
  for (const path of [
    "docs",
    "docs/static/swagger-ui.css",
    "docs/static/theme/header.js",
    "docs/static/swagger-ui-bundle.js",
    "docs/json",
  ]) {
    const { headers } = await fetch(new URL(path, base));
    const policy = headers.get("content-security-policy")!;
    expect(policy).toContain("default-src 'self'");
    expect(policy).not.toMatch(/upgrade-insecure-requests|https?:/);
    expect(headers.get("strict-transport-security")).toBeNull();
  }
});
