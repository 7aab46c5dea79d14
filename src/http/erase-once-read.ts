// Notices that a response was sent completely, for tenants with zero retention.
import { constants, type ServerHttp2Stream } from "node:http2";
import type { Readable } from "node:stream";
import type { FastifyReply } from "fastify";
import type { JobRecord } from "../domain/job.ts";
import type { Caller } from "../jobs/caller.ts";
import type { JobsContext } from "../jobs/jobs-context.ts";
import { eraseRead, erasesByReading } from "../jobs/retention/first-read.ts";
import { http2StreamOf } from "./http2-streams.ts";

/**
 * Erases a job once its owner has got this response completely. Does nothing unless the job has ended and the tenant has
 * zero retention.
 */
export function eraseOnceRead(context: JobsContext, reply: FastifyReply, caller: Caller, record: JobRecord): void {
  if (record.outcome && erasesByReading(context, record.job, caller)) onceSent(reply, () => eraseRead(context, record));
}

/**
 * Like `onceSent`, for a body that is a stream of a known length. A client may close the connection as soon as it has
 * all bytes, before the stream ends here. This counts too, unless the connection broke.
 * @param bytes length of the body
 */
export function onceAllSent(reply: FastifyReply, bytes: number, run: () => Promise<void>): void {
  const { raw, request } = reply;
  if (request.method === "HEAD") return;
  const stream = http2StreamOf(raw);
  if (stream) {
    onceStreamSent(stream, run);
    return;
  }
  const { socket } = request;
  let handed = 0;
  raw.once("pipe", (body: Readable) => {
    body.on("data", (chunk: Buffer) => {
      // What a closing connection does not take is discarded.
      if (raw.socket?.writable) handed += chunk.length;
    });
  });
  raw.once("close", () => {
    // A socket that closes without an error finishes after the operating system has taken everything.
    const isTaken = socket.destroyed ? socket.writableFinished : raw.writableFinished;
    if (handed === bytes && isTaken && socket.errored === null && raw.errored === null) void run();
  });
}

/**
 * Calls `run` once the whole body was handed to the connection, and the connection was still open. A client's operating
 * system may have received it without the client reading it: HTTP knows no more than that.
 */
export function onceSent(reply: FastifyReply, run: () => Promise<void>): void {
  const { raw, request } = reply;
  if (request.method === "HEAD") return;
  const stream = http2StreamOf(raw);
  if (stream) {
    onceStreamSent(stream, run);
    return;
  }
  // Node detaches the socket from the response before the event.
  const { socket } = request;
  raw.once("finish", () => {
    if (raw.errored === null && !socket.destroyed) void run();
  });
}

/** Like `onceSent`, over HTTP/2. A client that received the whole body ends the stream without an error code. */
function onceStreamSent(stream: ServerHttp2Stream, run: () => Promise<void>): void {
  stream.once("close", () => {
    if (stream.writableFinished && stream.rstCode === constants.NGHTTP2_NO_ERROR) void run();
  });
}
