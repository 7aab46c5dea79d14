// A client that takes too long to send the body of a request is cut off, except where a file is uploaded.
import { once } from "node:events";
import { type AddressInfo, createConnection } from "node:net";
import Fastify from "fastify";
import { afterAll, beforeAll, expect, test } from "vitest";
import { boundSlowBodies } from "../../src/http/hooks/slow-bodies.ts";
import type { HttpServer } from "../../src/http/http-types.ts";

const timeoutMs = 150;
const app = Fastify() as unknown as HttpServer;

beforeAll(async () => {
  boundSlowBodies(app, timeoutMs);
  app.post("/json", async () => "taken");
  app.addContentTypeParser("multipart/form-data", (_request, _body, done) => done(null));
  app.post("/upload", { config: { upload: true } }, async (request) => {
    for await (const _ of request.raw);
    return "taken";
  });
  await app.listen({ host: "127.0.0.1", port: 0 });
});
afterAll(() => app.close());

/** Sends a body in two pieces, the second one after a pause. */
async function send(path: string, type: string, pauseMs: number): Promise<string> {
  const socket = createConnection((app.server.address() as AddressInfo).port, "127.0.0.1");
  const pieces: Buffer[] = [];
  socket.on("data", (piece) => pieces.push(piece));
  socket.on("error", () => {});
  const closed = once(socket, "close");
  socket.write(
    `POST ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: ${type}\r\nContent-Length: 2\r\n\r\n1`,
  );
  const second = setTimeout(() => socket.write("2"), pauseMs);
  await closed;
  clearTimeout(second);
  return Buffer.concat(pieces).toString();
}

test("a body that does not arrive in time is answered 408", async () => {
  expect(await send("/json", "application/json", 60_000)).toMatch(/^HTTP\/1\.1 408 .*request_timeout/s);
});

test("a body that arrives in time is taken, and a file may take longer", async () => {
  expect(await send("/json", "application/json", 0)).toMatch(/^HTTP\/1\.1 200 /);
  expect(await send("/upload", "multipart/form-data; boundary=b", 3 * timeoutMs)).toMatch(/^HTTP\/1\.1 200 /);
});
