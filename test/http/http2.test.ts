// HTTP/2 without TLS on the port of HTTP/1.1, as the AWS SDK for JavaScript speaks it by default.
import { lookup } from "node:dns/promises";
import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from "node:http2";
import { type AddressInfo, createConnection, type Socket } from "node:net";
import Fastify, { type FastifyInstance } from "fastify";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { canonicalPart } from "../../src/domain/request.ts";
import { onceSent } from "../../src/http/erase-once-read.ts";
import { boundSlowBodies } from "../../src/http/hooks/slow-bodies.ts";
import type { HttpServer } from "../../src/http/http-types.ts";
import { Listener, type ListenerOptions } from "../../src/http/listener.ts";
import { createHttpServer } from "../../src/http/server.ts";
import { type ServerUnderTest, startServerUnderTest } from "./server-under-test.ts";

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

let server: ServerUnderTest;
let port: number;
beforeAll(async () => {
  server = await startServerUnderTest();
  await server.app.listen({ host: "127.0.0.1", port: 0 });
  port = portOf(server.app);
});
afterAll(() => server.close());

const sessions: ClientHttp2Session[] = [];
const sockets: Socket[] = [];
afterEach(() => {
  for (const connection of [...sessions.splice(0), ...sockets.splice(0)]) connection.destroy();
});

function portOf({ server }: { server: HttpServer["server"] }): number {
  return (server.address() as AddressInfo).port;
}

function open(to = port): ClientHttp2Session {
  const session = connect(`http://127.0.0.1:${to}`);
  session.on("error", () => {});
  sessions.push(session);
  return session;
}

interface Got {
  status: number;
  headers: Record<string, unknown>;
  text: string;
}

async function answerOf(stream: ClientHttp2Stream): Promise<Got> {
  const [headers] = await once(stream, "response");
  let text = "";
  stream.setEncoding("utf8").on("data", (piece) => {
    text += piece;
  });
  await once(stream, "end");
  return { status: headers[":status"], headers, text };
}

function post(session: ClientHttp2Session, path: string, body: object): Promise<Got> {
  const stream = session.request({ ":method": "POST", ":path": path, "content-type": "application/json" });
  stream.end(JSON.stringify(body));
  return answerOf(stream);
}

const get = (session: ClientHttp2Session, path: string, headers = {}) =>
  answerOf(session.request({ ":path": path, ...headers }));

test("the routes answer over HTTP/2, several at a time on one connection", async () => {
  const session = open();
  const prompts = ["one", "two", "three"];
  const answers = await Promise.all(prompts.map((prompt) => post(session, "/enqueue", { prompt, environment: "UAT" })));
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
  const id = JSON.parse(answers[1]!.text).job_id;
  const record = await server.context.store.get(id);
  expect(canonicalPart(record!.job.request).messages[0]?.content).toEqual([{ type: "text", text: "two" }]);
  expect((await get(session, `/v1/jobs/${id}`)).status).toBe(200);
  expect((await get(session, "/nowhere")).status).toBe(404);
});

test("a stream of events flows over HTTP/2", async () => {
  const id = await server.enqueue();
  const stream = open().request({ ":path": `/v1/jobs/${id}/events` });
  const [headers] = await once(stream, "response");
  expect(headers["content-type"]).toMatch(/^text\/event-stream/);
  const [event] = await once(stream, "data");
  expect(String(event)).toContain("queued");
  stream.close(constants.NGHTTP2_CANCEL);
});

test("the checks of headers hold: another site's host, and two hosts", async () => {
  const session = open();
  expect(await get(session, "/v1/jobs", { ":authority": "evil.example" })).toMatchObject({ status: 403 });
  const both = await get(session, "/v1/jobs", { ":authority": "localhost", host: "127.0.0.1" });
  expect(both.status).toBe(400);
  expect(JSON.parse(both.text).error.field).toBe("Host");
});

async function connectSocket(to = port): Promise<Socket> {
  const socket = createConnection(to, "127.0.0.1");
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

async function readAll(socket: Socket): Promise<string> {
  let text = "";
  for await (const chunk of socket.setEncoding("latin1")) text += chunk;
  return text;
}

test.each([
  [
    "a method that begins like the text of HTTP/2",
    ["PR", "OPFIND / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"],
    /^HTTP\/1\.1 4/,
  ],
  ["a text that ends unlike that of HTTP/2", ["PRI * HTTP/2.0\r\n\r\nSM\r\n", "\n\n"], /^HTTP\/1\.1 400 /],
])("%s is HTTP/1.1", async (_what, pieces, answer) => {
  const socket = await connectSocket();
  socket.setNoDelay(true);
  for (const piece of pieces) {
    await new Promise((written) => socket.write(piece, written));
    await new Promise(setImmediate);
  }
  expect(await readAll(socket)).toMatch(answer);
});

test("the fixed text of HTTP/2 may arrive in pieces", async () => {
  const socket = await connectSocket();
  socket.setNoDelay(true);
  for (const byte of preface) {
    await new Promise((written) => socket.write(byte, written));
    await new Promise(setImmediate);
  }
  // Empty settings.
  socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
  const [reply] = await once(socket, "data");
  // The server's settings: a frame of type 4.
  expect(reply[3]).toBe(4);
  socket.destroy();
});

test("a client that resets requests faster than it may loses its connection, and others go on", async () => {
  const session = open();
  const closed = new Promise((resolve) => session.once("close", resolve));
  const other = open();
  for (let n = 0; n < 20_000 && !session.destroyed; n++) {
    const stream = session.request({ ":path": "/healthz" });
    stream.on("error", () => {});
    stream.close(constants.NGHTTP2_CANCEL);
    if (n % 200 === 0) await new Promise(setImmediate);
  }
  await closed;
  expect((await get(other, "/healthz")).status).toBe(200);
});

test("headers that are too large are refused", async () => {
  const session = open();
  const large = { "x-large": "x".repeat(20_000) };
  // Sent before the client knows the limit.
  const { status, text } = await get(session, "/healthz", large);
  expect([status, JSON.parse(text).error.message]).toEqual([400, "The headers are larger than 16384 bytes."]);
  const many = Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`x-${n}`, "1"]));
  for (const headers of [large, many]) {
    await expect(get(session, "/healthz", headers)).rejects.toMatchObject({ code: "ERR_HTTP2_STREAM_ERROR" });
  }
  expect((await get(session, "/healthz")).status).toBe(200);
});

test("a close answers the calls that wait, and ends each connection when it has no more requests", async () => {
  const another = createHttpServer(server.context);
  await another.listen({ host: "127.0.0.1", port: 0 });
  const [idle, waiting, sending] = [open(portOf(another)), open(portOf(another)), open(portOf(another))];
  expect((await get(idle, "/healthz")).status).toBe(200);
  const id = await server.enqueue();
  const wait = get(waiting, `/v1/jobs/${id}?wait=30`);
  expect((await get(waiting, "/healthz")).status).toBe(200);
  const stream = sending.request({ ":method": "POST", ":path": "/enqueue", "content-type": "application/json" });
  const seen: string[] = [];
  sending.on("goaway", () => seen.push("goaway"));
  stream.write('{"prompt":"half",');
  const sent = answerOf(stream).then(({ status }) => seen.push(`answered ${status}`));
  expect((await get(sending, "/healthz")).status).toBe(200);

  const ends = [idle, waiting, sending].map((session) => once(session, "close"));
  const closed = another.close();
  expect((await wait).status).toBe(200);
  await Promise.all(ends.slice(0, 2));
  stream.end('"environment":"UAT"}');
  await Promise.all([sent, closed, ...ends]);
  // The SDK for JavaScript gives up its running requests when it is told that a connection closes.
  expect(seen[0]).toBe("answered 200");
});

describeListener();

function describeListener() {
  const options: ListenerOptions = { headersTimeoutMs: 200, requestTimeoutMs: 60_000, idleTimeoutMs: 200 };
  const bodyTimeoutMs = 150;
  let app: FastifyInstance;
  let sent = 0;
  beforeAll(async () => {
    const listener = new Listener(options);
    app = Fastify({ serverFactory: (handler) => listener.create(handler) });
    listener.attach(app as unknown as HttpServer, "localhost");
    boundSlowBodies(app as unknown as HttpServer, bodyTimeoutMs);
    app.post("/json", async () => "taken");
    app.get("/large", (_request, reply) => {
      onceSent(reply, async () => {
        sent++;
      });
      return reply.send(Buffer.alloc(1_000_000));
    });
    await app.listen({ host: "localhost", port: 0 });
  });
  afterAll(() => app.close());

  test("a connection that sends nothing, or only the beginning of HTTP/2, is answered 408", async () => {
    for (const bytes of ["", "PRI * HT"]) {
      const socket = createConnection(portOf(app), "localhost");
      socket.write(bytes);
      expect(await readAll(socket)).toMatch(/^HTTP\/1\.1 408 .*request_timeout/s);
    }
  });

  test("a body that does not arrive in time is answered 408, and its connection goes on", async () => {
    const session = connect(`http://localhost:${portOf(app)}`);
    sessions.push(session);
    const stream = session.request({ ":method": "POST", ":path": "/json", "content-type": "application/json" });
    stream.write("1");
    const { status, text } = await answerOf(stream);
    expect([status, JSON.parse(text).error.code]).toEqual([408, "request_timeout"]);
    expect((await post(session, "/json", {})).text).toBe("taken");
  });

  test("a connection without requests is closed", async () => {
    const session = connect(`http://localhost:${portOf(app)}`);
    sessions.push(session);
    expect((await post(session, "/json", {})).text).toBe("taken");
    await once(session, "close");
  });

  test("an answer counts as sent only once the client has all of it", async () => {
    const session = connect(`http://localhost:${portOf(app)}`);
    sessions.push(session);
    const cut = session.request({ ":path": "/large" });
    await once(cut, "data");
    cut.close(constants.NGHTTP2_CANCEL);
    await once(cut, "close");
    // The server has handled the reset once it answers the next request.
    expect((await post(session, "/json", {})).text).toBe("taken");
    expect(sent).toBe(0);
    expect((await get(session, "/large")).text).toHaveLength(1_000_000);
    await expect.poll(() => sent).toBe(1);
  });

  test("localhost means all of its addresses", async () => {
    const connects = (address: string) =>
      new Promise<boolean>((resolve) => {
        const socket = createConnection(portOf(app), address, () => resolve(true));
        socket.on("error", () => resolve(false));
        sockets.push(socket);
      });
    for (const { address } of await lookup("localhost", { all: true })) {
      await expect.poll(() => connects(address)).toBe(true);
    }
  });
}
