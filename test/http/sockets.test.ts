// What only a real connection shows: bodies in pieces, too large, cut off, and bytes that are no HTTP.

import { once } from "node:events";
import { type AddressInfo, createConnection, type Socket } from "node:net";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { canonicalPart } from "../../src/domain/request.ts";
import { createHttpServer } from "../../src/http/server.ts";
import { type ServerUnderTest, startServerUnderTest } from "./server-under-test.ts";

let server: ServerUnderTest;
let port: number;
beforeAll(async () => {
  server = await startServerUnderTest({ limits: { maxRequestBytes: 10_000, maxPromptBytes: 5_000 } });
  await server.app.listen({ host: "127.0.0.1", port: 0 });
  port = (server.app.server.address() as AddressInfo).port;
});
afterAll(() => server.close());

async function connect(): Promise<Socket> {
  const socket = createConnection(port, "127.0.0.1");
  await once(socket, "connect");
  return socket;
}

/** Everything until the server closes the connection. */
async function readAll(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk) => chunks.push(chunk));
  socket.on("error", () => {});
  await once(socket, "close");
  return Buffer.concat(chunks).toString();
}

const head = (length: number | "chunked") =>
  "POST /enqueue HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n" +
  (length === "chunked" ? "Transfer-Encoding: chunked\r\n\r\n" : `Content-Length: ${length}\r\n\r\n`);

function errorIn(response: string) {
  return JSON.parse(response.slice(response.indexOf("\r\n\r\n") + 4)).error;
}

test("a body that comes byte by byte, with a character cut in two, is one prompt", async () => {
  const body = Buffer.from(JSON.stringify({ prompt: "漢字 😀", environment: "UAT" }));
  const socket = await connect();
  socket.setNoDelay(true);
  socket.write(head(body.length));
  for (const byte of body) {
    await new Promise((written) => socket.write(Buffer.of(byte), written));
    await new Promise(setImmediate);
  }
  const response = await readAll(socket);
  expect(response).toMatch(/^HTTP\/1\.1 200 /);
  const jobId = JSON.parse(response.slice(response.indexOf("{"))).job_id;
  const record = await server.context.store.get(jobId);
  expect(canonicalPart(record!.job.request).messages[0]?.content).toEqual([{ type: "text", text: "漢字 😀" }]);
});

test.each([
  ["an empty Host", "Host:\r\n", 403],
  ["two Hosts", "Host: localhost\r\nhost: evil.example\r\n", 400],
  ["a Host with a tab", "Host: localhost\t.evil.example\r\n", 403],
])("E5: %s is refused", async (_what, lines, status) => {
  const socket = await connect();
  socket.write(`GET /v1/jobs HTTP/1.1\r\nConnection: close\r\n${lines}\r\n`);
  const response = await readAll(socket);
  expect(response).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  expect(errorIn(response).field).toBe("Host");
});

test("a body that is announced as too large is refused before it is sent", async () => {
  const socket = await connect();
  socket.write(head(10_001));
  const response = await readAll(socket);
  expect(response).toMatch(/^HTTP\/1\.1 413 /);
  expect(errorIn(response)).toMatchObject({ code: "too_large", field: "body" });
});

test.each(["close", "keep-alive"])(
  "a client that sends all before it reads learns that it was too much (%s)",
  async (connection) => {
    // More than the buffers of both sides take: sending stops if the server does not read, and fails if it has closed.
    const body = Buffer.alloc(8 * 1024 * 1024, "x");
    const socket = await connect();
    const broken = vi.fn();
    socket.on("error", broken);
    const answered = once(socket, "data");
    socket.write(head(body.length).replace("close", connection));
    await new Promise<void>((sent) => socket.write(body, () => sent()));
    const [response] = await answered;
    expect(String(response)).toMatch(/^HTTP\/1\.1 413 /);
    expect(broken).not.toHaveBeenCalled();
    socket.destroy();
  },
);

test("a body that turns out too large is refused when it is", async () => {
  const socket = await connect();
  socket.write(head("chunked"));
  socket.write(`4000\r\n${"x".repeat(0x4000)}\r\n`);
  const response = await readAll(socket);
  expect(response).toMatch(/^HTTP\/1\.1 413 /);
});

test("a body that ends early is no job, and the server goes on", async () => {
  const before = await server.context.countJobs();
  for (const sent of ["", '{"prompt":"x","environment":"UAT"}']) {
    const socket = await connect();
    socket.write(head(200) + sent);
    await vi.waitFor(async () => expect(await connections()).toBeGreaterThan(0));
    socket.destroy();
  }
  await vi.waitFor(async () => expect(await connections()).toBe(0), { timeout: 10_000 });
  expect(await server.context.countJobs()).toBe(before);
  expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200);
});

function connections(): Promise<number> {
  return new Promise((resolve, reject) =>
    server.app.server.getConnections((error, n) => (error ? reject(error) : resolve(n))),
  );
}

test.each([
  ["no HTTP", "hello\r\n\r\n", 400, "The request is not valid HTTP."],
  ["no Host", "GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", 400, "The Host header is required."],
  [
    "two lengths",
    "POST /enqueue HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    400,
    "The request is not valid HTTP.",
  ],
  [
    "length and chunks",
    `${head(5).slice(0, -2)}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    400,
    "The request is not valid HTTP.",
  ],
  [
    "huge headers",
    `GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ${"x".repeat(70_000)}\r\n\r\n`,
    400,
    "The headers are larger than 16384 bytes.",
  ],
])("%s", async (_name, bytes, status, message) => {
  const socket = await connect();
  socket.write(bytes);
  const response = await readAll(socket);
  expect(response).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  expect(errorIn(response)).toMatchObject({ code: "invalid_request", message });
});

test("a client that is too slow gets a 408", async () => {
  const socket = await connect();
  const error = Object.assign(new Error("timeout"), { code: "ERR_HTTP_REQUEST_TIMEOUT" });
  const serverSide = new Promise<Socket>((resolve) => server.app.server.once("connection", resolve));
  const slow = createConnection(port, "127.0.0.1");
  server.app.server.emit("clientError", error, await serverSide);
  const response = await readAll(slow);
  socket.destroy();
  expect(response).toMatch(/^HTTP\/1\.1 408 Request Timeout/);
  expect(errorIn(response).code).toBe("request_timeout");
});

test("a connection over which nothing comes does not hold up the end of the server", async () => {
  const another = createHttpServer(server.context);
  await another.listen({ host: "127.0.0.1", port: 0 });
  const socket = createConnection((another.server.address() as AddressInfo).port, "127.0.0.1");
  socket.on("error", () => {});
  await once(another.server, "connection");
  // If the connection held up the server, this would take longer than the test's time limit.
  await another.close();
});
