// Time limits, signals and headers of the client, against a small server of the test's own.
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeEach, expect, test } from "vitest";
import { SluiceClient } from "../../src/client/index.ts";

let answer = { status: "completed" };
const server = createServer((request, response) => {
  request.resume();
  response.setHeader("content-type", "application/json").end(JSON.stringify(answer));
}).listen(0, "127.0.0.1");
await once(server, "listening");
const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

/** Warnings of Node: about a delay that it cuts short, or listeners that are never removed. */
const warnings: Error[] = [];
const collect = (warning: Error) => void warnings.push(warning);
beforeEach(() => {
  warnings.length = 0;
  process.on("warning", collect);
});
afterEach(() => void process.off("warning", collect));

const days = 24 * 3_600_000;

test.each([30 * days, 2 ** 31 - 1, 2 ** 31, 2 ** 40, Number.MAX_VALUE, Number.POSITIVE_INFINITY, 0])(
  "D12: timeoutMs: %d lets a call be answered",
  async (timeoutMs) => {
    answer = { status: "completed" };
    const sluice = new SluiceClient({ baseUrl, timeoutMs, maxRetries: 0 });
    expect(await sluice.get("x")).toEqual(answer);
    expect(await sluice.wait("x", { timeoutMs: timeoutMs || 1 })).toEqual(answer);
    await new Promise(setImmediate);
    expect(warnings).toEqual([]);
  },
);

test("D12: a short limit still ends a call", async () => {
  const silent = createServer(() => {}).listen(0, "127.0.0.1");
  await once(silent, "listening");
  const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
  await expect(new SluiceClient({ baseUrl: url, timeoutMs: 20, maxRetries: 0 }).get("x")).rejects.toThrow(
    "does not answer",
  );
  silent.closeAllConnections();
  silent.close();
});

test("F16: one signal for many calls, side by side and in a row, collects no listeners", async () => {
  const sluice = new SluiceClient({ baseUrl, maxRetries: 0 });
  const { signal } = new AbortController();
  await Promise.all(Array.from({ length: 20 }, () => sluice.get("x", { signal })));
  for (let i = 0; i < 20; i++) await sluice.get("x", { signal });
  await new Promise(setImmediate);
  expect(warnings).toEqual([]);
});

test("headers of the caller are sent with each request", async () => {
  const traceparent = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`;
  const sent: unknown[] = [];
  const sluice = new SluiceClient({
    baseUrl,
    apiKey: "k",
    headers: () => ({ traceparent }),
    fetch: (url, init) => {
      sent.push(init?.headers);
      return fetch(url, init);
    },
  });
  await sluice.get("x");
  await sluice.enqueue({ prompt: "Why?" });
  for (const headers of sent) expect(headers).toMatchObject({ traceparent, authorization: "Bearer k" });
  expect(sent).toHaveLength(2);
});

test("a signal ends a call with its reason", async () => {
  const stop = new AbortController();
  const sluice = new SluiceClient({
    baseUrl,
    fetch: (_url, init) =>
      new Promise((_, fail) => {
        init!.signal!.addEventListener("abort", () => fail(init!.signal!.reason));
        stop.abort(new Error("enough"));
      }),
  });
  await expect(sluice.get("x", { signal: stop.signal })).rejects.toThrow("enough");
});
