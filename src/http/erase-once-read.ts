// Notices that a response was sent completely, for tenants with zero retention.
import type { FastifyReply } from "fastify";
import type { JobRecord } from "../domain/job.ts";
import type { Caller } from "../jobs/caller.ts";
import type { JobsContext } from "../jobs/jobs-context.ts";
import { eraseRead, erasesByReading } from "../jobs/retention/first-read.ts";

/**
 * Erases a job once its owner has got this response completely. Does nothing unless the job has ended and the tenant has
 * zero retention.
 */
export function eraseOnceRead(context: JobsContext, reply: FastifyReply, caller: Caller, record: JobRecord): void {
  if (record.outcome && erasesByReading(context, record.job, caller)) onceSent(reply, () => eraseRead(context, record));
}

/**
 * Calls `run` once the whole body was handed to the connection, and the connection was still open. A client's operating
 * system may have received it without the client reading it: HTTP knows no more than that.
 */
export function onceSent(reply: FastifyReply, run: () => Promise<void>): void {
  const { raw, request } = reply;
  if (request.method === "HEAD") return;
  // Node detaches the socket from the response before the event.
  const { socket } = request;
  raw.once("finish", () => {
    if (raw.errored === null && !socket.destroyed) void run();
  });
}
