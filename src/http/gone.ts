// Whether somebody is still there to be answered.
import type { FastifyReply } from "fastify";

/** Aborted when the client has gone. The request's own `close` comes as soon as it has been read, so it is the reply's. */
export function goneSignal(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.once("close", () => controller.abort());
  return controller.signal;
}
