// Which downloads count as read: those whose bytes all reached the connection.
import { once } from "node:events";
import { type AddressInfo, connect, type Socket } from "node:net";
import { Readable } from "node:stream";
import Fastify from "fastify";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { onceAllSent } from "../../src/http/erase-once-read.ts";

const app = Fastify();
const total = 8 * 1024 * 1024;
let reads = 0;
/** Resolves when the server has noticed that the connection closed. */
let closed: Promise<unknown>;
let port: number;

beforeAll(async () => {
  app.get<{ Querystring: { bytes: number; first: number; isLate?: string } }>("/", (request, reply) => {
    const { bytes, first, isLate } = request.query;
    closed = once(reply.raw, "close");
    const socketClosed = once(request.socket, "close").catch(() => {});
    async function* body() {
      yield Buffer.alloc(Number(first));
      // The stream ends only after the client has gone.
      if (isLate) await socketClosed;
      if (bytes > first) yield Buffer.alloc(bytes - first);
    }
    onceAllSent(reply, Number(bytes), async () => {
      reads++;
    });
    reply.header("content-length", bytes);
    return reply.send(Readable.from(body(), { objectMode: false }));
  });
  await app.listen({ port: 0, host: "127.0.0.1" });
  ({ port } = app.server.address() as AddressInfo);
});
afterAll(() => app.close());
beforeEach(() => {
  reads = 0;
});

/** Requests a path, reads until enough has arrived, and leaves in its own way. */
async function read(path: string, isEnough: (bytes: number) => boolean, leave: (socket: Socket) => void) {
  const socket = connect(port, "127.0.0.1");
  socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
  let bytes = 0;
  let header = "";
  for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    if (!header.includes("\r\n\r\n")) {
      header += chunk.toString("latin1");
      bytes = header.length - header.indexOf("\r\n\r\n") - 4;
    } else bytes += chunk.length;
    if (isEnough(bytes)) break;
  }
  leave(socket);
  await closed;
}

test("a client that closes right after the last byte has read, although the stream has not ended", async () => {
  await read(
    `/?bytes=1000&first=1000&isLate=1`,
    (bytes) => bytes === 1000,
    (socket) => socket.destroy(),
  );
  expect(reads).toBe(1);
});

test("a client that keeps its connection has read", async () => {
  const answer = await fetch(`http://127.0.0.1:${port}/?bytes=${total}&first=1000`);
  expect((await answer.arrayBuffer()).byteLength).toBe(total);
  await closed;
  expect(reads).toBe(1);
});

test.each([
  ["closes before the last byte", "/?bytes=1001&first=1000&isLate=1", 1000, (socket: Socket) => socket.destroy()],
  ["closes amid a long body", `/?bytes=${total}&first=${total}`, 1, (socket: Socket) => socket.destroy()],
  ["resets the connection", `/?bytes=${total}&first=${total}`, 1, (socket: Socket) => socket.resetAndDestroy()],
])("a client that %s has not read", async (_, path, least, leave) => {
  await read(path, (bytes) => bytes >= least, leave);
  expect(reads).toBe(0);
});
