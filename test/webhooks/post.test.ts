// The one request that is made to an address of a stranger: where it may go, and how little it takes from there.
import { once } from "node:events";
import { createServer } from "node:net";
import { expect, test } from "vitest";
import { AllowedNetworks } from "../../src/domain/networks.ts";
import { checkWebhookUrl } from "../../src/jobs/webhooks/webhook-url.ts";
import { type PostOptions, post } from "../../src/worker/webhooks/post.ts";
import { startReceiver } from "./receiver.ts";

const nowhere = new AllowedNetworks([]);
const here = new AllowedNetworks(["127.0.0.0/8"]);
const send = (url: string, options: Partial<PostOptions> = {}) =>
  post(url, { "x-test": "1" }, Buffer.from("{}"), {
    networks: here,
    timeoutMs: 5_000,
    signal: new AbortController().signal,
    ...options,
  });
const unusable = "The host name is unknown, or resolves to an address that webhooks may not use.";
/** Does not wait, and notes how long it was asked to. */
function noTimers() {
  const waits: number[] = [];
  const after = (ms: number, run: () => void) => {
    waits.push(ms);
    setImmediate(run);
    return () => {};
  };
  return { waits, timers: { after } };
}

test.each([
  ...["127.0.0.1", "0x7f.1", "2130706433", "0177.0.0.1", "127.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"],
  ...["[64:ff9b::7f00:1]", "0", "0.0.0.0", "169.254.169.254", "[fd00:ec2::254]", "10.0.0.1", "[fe80::1]"],
])("%s is refused when it is asked for, and when it is connected to", async (host) => {
  const url = `https://${host}/`;
  expect(() => checkWebhookUrl({ webhooks: { allowPrivateNetworks: [] } }, url)).toThrow(
    /webhook_url must be a public address/,
  );
  expect(await send(url, { networks: nowhere, ...noTimers() })).toMatchObject({ error: unusable, excerpt: "" });
});

test.each<[string, RegExp]>([
  ["http://example.com/", /must start with https:/],
  ["ftp://example.com/", /must be a URL/],
  ["https:example.com", /must be a URL/],
  ["//example.com", /must be a URL/],
  ["example.com", /must be a URL/],
  ["https://", /must be a URL/],
  ["https://a:b@example.com/", /must not contain a user name/],
  ["https://a@example.com/", /must not contain a user name/],
  ["https://example.com:22/", /must use port/],
  ["https://example.com:6553600/", /must be a URL/],
  [`https://example.com/${"x".repeat(2048)}`, /at most 2048/],
])("%.40s cannot be asked for", (url, message) => {
  expect(() => checkWebhookUrl({ webhooks: { allowPrivateNetworks: [] } }, url)).toThrow(message);
});

test("plain http is for networks that are named, by address at once and by name when it is connected to", async () => {
  const webhooks = { allowPrivateNetworks: ["127.0.0.0/8"] };
  expect(() => checkWebhookUrl({ webhooks }, "http://8.8.8.8/")).toThrow(/must start with https/);
  expect(checkWebhookUrl({ webhooks }, "http://127.0.0.1:8080/a#b")).toBe("http://127.0.0.1:8080/a");
  expect(checkWebhookUrl({ webhooks }, "http://name/")).toBe("http://name/");
  const { error } = await send("http://name/", { resolveHost: async () => ["8.8.8.8"] });
  expect(error).toMatch(/without TLS/);
});

const failing = (code: string) => () => Promise.reject(Object.assign(new Error(`getaddrinfo ${code}`), { code }));
const never = () => new Promise<string[]>(() => {});
test.each<[string, PostOptions["resolveHost"]]>([
  ["loopback", async () => ["127.0.0.1"]],
  ["a public and a private address", async () => ["8.8.8.8", "10.0.0.1"]],
  ["metadata, mapped into IPv6", async () => ["::ffff:169.254.169.254"]],
  ["metadata, by NAT64", async () => ["64:ff9b::a9fe:a9fe"]],
  ["a local prefix of NAT64", async () => ["64:ff9b:1::a00:1"]],
  ["6to4", async () => ["2002:a00:1::1"]],
  ["an IPv4-compatible address", async () => ["::10.0.0.1"]],
  ["any address", async () => ["0.0.0.0"]],
  ["a zone", async () => ["fe80::1%eth0"]],
  ["no address at all", async () => ["nonsense"]],
  ["nothing", async () => []],
  ["an unknown name", failing("ENOTFOUND")],
  ["a name server that fails", failing("EAI_AGAIN")],
  ["a name that no lookup takes", failing("EAI_NONAME")],
  ["a name server that does not answer", never],
])("E6: a name that leads to %s fails with the one error, at the next full second", async (_what, resolveHost) => {
  const { waits, timers } = noTimers();
  let time = 5_000;
  const now = () => {
    // Each look at the clock is 130 ms later.
    time += 130;
    return time;
  };
  const timeoutMs = resolveHost === never ? 50 : 5_000;
  const posted = await send("https://name.example/", { networks: nowhere, resolveHost, timers, now, timeoutMs });
  expect(posted).toEqual({ error: unusable, detail: expect.any(String), excerpt: "" });
  expect(waits).toEqual([1_000 - 130]);
});

test("E6: a name that the system does not know fails with the same error", async () => {
  expect(await send("https://name.invalid/", noTimers())).toMatchObject({ error: unusable });
  expect(await send("https://localhost/", { networks: nowhere, ...noTimers() })).toMatchObject({ error: unusable });
});

test("E6: a service that stops does not wait for the full second", async () => {
  const stopping = new AbortController();
  const timers = { after: () => () => {} };
  const posted = send("https://name.example/", {
    networks: nowhere,
    resolveHost: async () => [],
    timers,
    signal: stopping.signal,
  });
  setImmediate(() => stopping.abort());
  expect(await posted).toMatchObject({ error: unusable });
});

test("the address that was checked is the one that is connected to, whatever the name leads to a moment later", async () => {
  const receiver = await startReceiver();
  let asked = 0;
  const resolveHost = async () => (asked++ === 0 ? ["127.0.0.1"] : ["10.0.0.1"]);
  const url = receiver.url.replace("127.0.0.1", "rebound.example");
  expect(await send(url, { resolveHost })).toEqual({ status: 200, excerpt: "ok" });
  expect(asked).toBe(1);
  expect(receiver.received[0]!.headers).toMatchObject({
    host: new URL(url).host,
    "content-length": "2",
    "x-test": "1",
  });
});

test("redirects are not followed", async () => {
  const inner = await startReceiver();
  const outer = await startReceiver((response) => response.writeHead(307, { location: inner.url }).end("go there"));
  expect(await send(outer.url)).toEqual({ status: 307, excerpt: "go there" });
  expect(inner.received).toEqual([]);
});

test("a receiver that does not answer in time, or stops in the middle, or sends without end", async () => {
  const silent = await startReceiver(() => {});
  expect((await send(silent.url, { timeoutMs: 200 })).error).toBe("The receiver did not answer within 0.2 seconds.");
  const halting = await startReceiver((response) => response.writeHead(500).write("so far"));
  expect(await send(halting.url, { timeoutMs: 300 })).toEqual({ status: 500, excerpt: "so far" });
  let sent = 0;
  const endless = await startReceiver((response) => {
    const more = () => {
      while (!response.destroyed && response.write("x".repeat(1000))) sent += 1000;
    };
    response.on("drain", more);
    more();
  });
  const { excerpt } = await send(endless.url);
  expect(excerpt).toBe("x".repeat(200));
  expect(sent).toBeLessThan(10_000_000);
});

test("a server that does not speak HTTP, a closed port, and a stop of the service", async () => {
  const server = createServer((socket) => socket.resume().end("SSH-2.0-x\r\n")).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  expect((await send(`http://127.0.0.1:${port}/`)).error).toMatch(/^The request failed: HPE_/);
  server.close();
  await once(server, "close");
  expect((await send(`http://127.0.0.1:${port}/`)).error).toBe("The connection was refused.");
  expect((await send("https://name.example/", { signal: AbortSignal.abort() })).error).toMatch(
    /stopped before the receiver answered/,
  );
});

test("Retry-After, in both its forms", async () => {
  const date = "Fri, 01 Jan 2027 00:00:00 GMT";
  const later = "Fri, 01 Jan 2027 00:02:00 GMT";
  const values: [string, number | undefined][] = [
    ["7", 7_000],
    [later, 120_000],
    ["soon", undefined],
    ["-1", undefined],
  ];
  for (const [value, expected] of values) {
    const receiver = await startReceiver((response) => response.writeHead(503, { "retry-after": value, date }).end());
    expect((await send(receiver.url)).retryAfterMs, value).toBe(expected);
  }
});
