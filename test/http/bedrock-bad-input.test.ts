// Bad input on every route of the Bedrock Runtime API, over HTTP/1.1 and HTTP/2. It is refused in AWS's form, leaves
// nothing in the queue, and the connection answers the next request.
import { once } from "node:events";
import { Agent, type ClientRequest, request as http1Request } from "node:http";
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from "node:http2";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ServerUnderTest, startServerUnderTest } from "./server-under-test.ts";

const nova = "amazon.nova-lite-v1:0";
const json = { "content-type": "application/json" };
const operations = ["converse", "converse-stream", "invoke", "invoke-with-response-stream", "count-tokens"] as const;
type Operation = (typeof operations)[number];

let server: ServerUnderTest;
let url: URL;
let transports: Transport[];
beforeAll(async () => {
  server = await startServerUnderTest();
  await server.app.listen({ host: "127.0.0.1", port: 0 });
  url = new URL(`http://127.0.0.1:${(server.app.server.address() as AddressInfo).port}`);
  transports = [http1(), http2()];
});
afterAll(async () => {
  for (const transport of transports) transport.close();
  await server.close();
});

// ---------------------------------------------------------------- transports

interface Got {
  status: number;
  headers: Record<string, unknown>;
  text: string;
}

type Headers = Record<string, string>;
type Body = string | Buffer | undefined;

/** One connection that sends paths as they are. */
interface Transport {
  name: string;
  send(method: string, path: string, headers?: Headers, body?: Body): Promise<Got>;
  /** Begins a request that can be broken off. Over HTTP/1.1 it has a connection of its own, which ends with it. */
  begin(path: string, headers: Headers, body: string, part?: "whole"): { disconnect(): void };
  close(): void;
}

function http1(): Transport {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const open = (method: string, path: string, headers: Headers, from: Agent | false): ClientRequest =>
    http1Request({ host: url.hostname, port: url.port, method, path, headers, agent: from });
  return {
    name: "HTTP/1.1",
    async send(method, path, headers = {}, body = undefined) {
      const sent = open(method, path, headers, agent);
      sent.end(body);
      const [response] = await once(sent, "response");
      return { status: response.statusCode, headers: response.headers, text: await textOf(response) };
    },
    begin(path, headers, body, part) {
      const sent = open("POST", path, headers, false).on("error", () => {});
      sent.write(body);
      if (part) sent.end();
      return { disconnect: () => sent.destroy() };
    },
    close: () => agent.destroy(),
  };
}

function http2(): Transport {
  const session: ClientHttp2Session = connect(url);
  const open = (method: string, path: string, headers: Headers): ClientHttp2Stream =>
    session.request({ ":method": method, ":path": path, ...headers });
  return {
    name: "HTTP/2",
    async send(method, path, headers = {}, body = undefined) {
      const stream = open(method, path, headers);
      stream.end(body);
      const [answered] = await once(stream, "response");
      return { status: answered[":status"], headers: answered, text: await textOf(stream) };
    },
    begin(path, headers, body, part) {
      const stream = open("POST", path, headers).on("error", () => {});
      stream.write(body);
      if (part) stream.end();
      return { disconnect: () => stream.close(constants.NGHTTP2_CANCEL) };
    },
    close: () => session.destroy(),
  };
}

async function textOf(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

// ---------------------------------------------------------------- requests

const good: Record<Operation, string> = {
  converse: JSON.stringify({ messages: [{ role: "user", content: [{ text: "Why?" }] }] }),
  "converse-stream": JSON.stringify({ messages: [{ role: "user", content: [{ text: "Why?" }] }] }),
  invoke: JSON.stringify({ messages: [{ role: "user", content: [{ text: "Why?" }] }] }),
  "invoke-with-response-stream": JSON.stringify({ messages: [{ role: "user", content: [{ text: "Why?" }] }] }),
  "count-tokens": JSON.stringify({
    input: { converse: { messages: [{ role: "user", content: [{ text: "Why?" }] }] } },
  }),
};

const statuses = {
  ValidationException: 400,
  ResourceNotFoundException: 404,
  UnknownOperationException: 404,
  RequestEntityTooLargeException: 413,
  UnsupportedMediaTypeException: 415,
};
type Expected = readonly [name: keyof typeof statuses, message: RegExp];

function expectRefusal({ status, headers, text }: Got, [name, message]: Expected): void {
  const body = JSON.parse(text);
  expect(body.message).toMatch(message);
  expect(Object.keys(body)).toEqual(["message"]);
  expect([headers["x-amzn-errortype"], status]).toEqual([name, statuses[name]]);
  expect(headers["x-amzn-requestid"]).toMatch(/^[0-9a-f]{8}-[0-9a-z]+$/);
  expect(headers["content-type"]).toMatch(/^application\/json/);
  expect(text.length).toBeLessThan(2_000);
}

/** Sends a bad request to every operation over both transports, and checks what it leaves behind. */
async function expectRefused(
  expected: Expected,
  requestOf: (operation: Operation) => { path?: string; headers?: Headers; body?: Body; method?: string },
  only: readonly Operation[] = operations,
): Promise<void> {
  const before = await server.context.countJobs();
  for (const transport of transports) {
    for (const operation of only) {
      const { method = "POST", path = `/model/${nova}/${operation}`, ...rest } = requestOf(operation);
      const { headers = json } = rest;
      const body = "body" in rest ? rest.body : good[operation];
      expectRefusal(await transport.send(method, path, headers, body), expected);
      expect((await transport.send("GET", "/healthz")).status, `${transport.name} ${operation}`).toBe(200);
    }
  }
  expect(await server.context.countJobs()).toBe(before);
}

test("the good requests are accepted", async () => {
  const held = { ...json, "x-sluice-max-wait": "1" };
  const counted = await transports[0]!.send("POST", `/model/${nova}/count-tokens`, held, good["count-tokens"]);
  expect([counted.status, counted.text]).toEqual([200, expect.stringMatching(/^\{"inputTokens":\d+\}$/)]);
  const before = await server.context.countJobs();
  const { status } = await transports[1]!.send("POST", `/model/${nova}/converse`, held, good.converse);
  expect([status, await server.context.countJobs()]).toEqual([503, before + 1]);
});

describe("a path with", () => {
  const unknown: Expected = ["ResourceNotFoundException", /amazon\.nova-lite-v1:0/];
  const invalid: Expected = ["ValidationException", /^The provided model identifier is invalid/];
  test.each<[string, string, Expected]>([
    ["a percent sign alone", "%E0%A4%A", ["ValidationException", /two hexadecimal digits/]],
    ["bytes that are no UTF-8", "%FF%FE", ["ValidationException", /path/]],
    ["no ID", "", invalid],
    ["a blank ID", "%20", invalid],
    ["a null byte", "%00", invalid],
    ["an ID that is encoded twice", "us.amazon.nova-lite-v1%253A0", invalid],
    ["one dot", ".", unknown],
    ["two dots", "..", unknown],
    ["two dots, encoded", "%2e%2e%2f%2e%2e", unknown],
    ["a slash in the ID", "us.amazon/nova", ["UnknownOperationException", /no route/]],
    ["2,000 characters", "a".repeat(2_000), unknown],
    ["2,000 encoded characters", "%41".repeat(2_000), unknown],
    ["an ARN without its end", "arn:aws:bedrock:us-east-1", ["ValidationException", /not an ARN of Bedrock/]],
    [
      "an ARN of a prompt",
      "arn:aws:bedrock:us-east-1:123456789012:prompt%2FABCDEFGHIJ",
      ["ValidationException", /prompt/i],
    ],
    ["a model that no deployment serves", "amazon.titan-text-lite-v1", unknown],
    ["a name of a prototype", "__proto__", unknown],
  ])("%s", (_what, id, expected) => expectRefused(expected, (operation) => ({ path: `/model/${id}/${operation}` })));

  test("a slash at its end", () =>
    expectRefused(["UnknownOperationException", /no route/], (operation) => ({
      path: `/model/${nova}/${operation}/`,
    })));

  test("a query", () =>
    expectRefused(["ValidationException", /"a" is not a known/], (operation) => ({
      path: `/model/${nova}/${operation}?a=1`,
    })));

  test.each(["/guardrail/abc/version/1/apply", "/async-invoke", "/model/"])("%s", (path) =>
    expectRefused(["UnknownOperationException", /no route/], () => ({ path }), ["converse"]),
  );

  test("another method", () =>
    expectRefused(["UnknownOperationException", /PUT is not allowed; use POST/], () => ({ method: "PUT" })));
});

describe("a body", () => {
  const invalid: Expected = ["ValidationException", /JSON|input/];
  test.each<[string, Body, Expected]>([
    ["that is empty", "", ["ValidationException", /empty body|not valid JSON/]],
    ["that is absent", undefined, ["ValidationException", /empty body|not valid JSON/]],
    ["that is blank", " \n", invalid],
    ["of text", "Why?", invalid],
    ["that ends early", '{"messages":[', invalid],
    ["with more after its end", "{}{}", invalid],
    ["of a list", "[]", invalid],
    ["of null", "null", invalid],
    [
      "with bytes that are no UTF-8",
      Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]),
      ["ValidationException", /UTF-8/],
    ],
    ["in UTF-16", Buffer.from("{}", "utf16le"), invalid],
    ["with a byte order mark", "\ufeff{}", invalid],
    [
      "that is nested without end",
      `{"a":${"[".repeat(50_000)}${"]".repeat(50_000)}}`,
      ["ValidationException", /nested|input/],
    ],
    ["that is compressed, and does not say so", gzipSync("{}"), ["ValidationException", /UTF-8/]],
  ])("%s", (_what, body, expected) => expectRefused(expected, () => ({ body })));

  test.each(["gzip", "deflate", "br", "zstd", "aws-chunked"])("that is compressed: %s", (encoding) =>
    expectRefused(["UnsupportedMediaTypeException", new RegExp(`${encoding}.* is not supported`)], (operation) => ({
      headers: { ...json, "content-encoding": encoding },
      body: gzipSync(good[operation]),
    })),
  );

  test.each([
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/jsonx",
    "application/json; charset=latin1",
    "application/vnd.amazon.eventstream",
    "nonsense",
  ])("of the type %s", (type) =>
    expectRefused(["UnsupportedMediaTypeException", /JSON/], () => ({ headers: { "content-type": type } })),
  );

  test("without a type is JSON, as boto3 sends it", async () => {
    for (const { send } of transports) {
      expect((await send("POST", `/model/${nova}/count-tokens`, {}, good["count-tokens"])).status).toBe(200);
    }
  });

  test("over the limit", () => {
    const body = Buffer.alloc(26 * 1024 * 1024, " ");
    return expectRefused(["RequestEntityTooLargeException", /26214400 bytes/], () => ({ body }), [
      "converse",
      "count-tokens",
    ]);
  });
});

describe("a client that disconnects", () => {
  const jobs = () => server.context.countJobs();

  test.each<[string, Headers]>([
    ["with a length", { ...json, "content-length": "1000" }],
    ["without a length", json],
  ])("in the middle of a body %s leaves nothing", async (_what, headers) => {
    const before = await jobs();
    for (const transport of transports) {
      for (const operation of operations) {
        const open = await connections();
        const { disconnect } = transport.begin(`/model/${nova}/${operation}`, headers, good[operation].slice(0, 10));
        if (transport.name === "HTTP/1.1") await expect.poll(connections).toBeGreaterThan(open);
        disconnect();
        if (transport.name === "HTTP/1.1") await expect.poll(connections).toBe(open);
        expect((await transport.send("GET", "/healthz")).status).toBe(200);
      }
    }
    expect(await jobs()).toBe(before);
  });

  test("while its job waits, and cannot return, cancels the job", async () => {
    for (const transport of transports) {
      for (const operation of operations.slice(0, 4)) {
        const accepted: string[] = [];
        server.context.events.publishAccepted = (all) => accepted.push(...all.map(({ id }) => id));
        const { disconnect } = transport.begin(`/model/${nova}/${operation}`, json, good[operation], "whole");
        await expect.poll(() => accepted.length, { timeout: 10_000 }).toBe(1);
        const [id] = accepted as [string];
        await expect.poll(() => server.context.callers.callersOf(id)).toBe(1);
        disconnect();
        const state = async () => (await server.context.store.get(id))?.state;
        await expect.poll(state, { timeout: 10_000 }).toBe("cancelled");
        expect((await transport.send("GET", "/healthz")).status).toBe(200);
      }
    }
  });
});

function connections(): Promise<number> {
  return new Promise((resolve) => server.app.server.getConnections((_error, count) => resolve(count)));
}
