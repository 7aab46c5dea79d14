// Whether somebody is still there to be answered, and whether the server still answers.
import type { FastifyReply } from "fastify";
import { SluiceError } from "../domain/errors.ts";
import { sharedAbort } from "../domain/shared-abort.ts";
import type { HttpServer } from "./http-types.ts";

/** Aborted, with the error to answer with, when the server closes: those who wait must not hold it up. */
export function closingSignal(app: HttpServer): AbortSignal {
  const closing = sharedAbort();
  app.addHook("preClose", async () => closing.abort(new SluiceError("unavailable", "The service is stopping.")));
  return closing.signal;
}

/**
 * Aborted when the client has gone or the server closes. The request's own `close` comes as soon as it has been read, so
 * it is the reply's. Not AbortSignal.any: a signal that lives as long as the process would keep 60 bytes of every
 * request.
 */
export function disconnectSignal(reply: FastifyReply, closing: AbortSignal): AbortSignal {
  const disconnected = sharedAbort();
  const abort = () => disconnected.abort();
  if (closing.aborted) abort();
  closing.addEventListener("abort", abort);
  reply.raw.once("close", () => {
    closing.removeEventListener("abort", abort);
    abort();
  });
  return disconnected.signal;
}

/** What to throw when the signal of `disconnectSignal` is aborted: that is no failure, unless the server closes. */
export function disconnectError(closing: AbortSignal): SluiceError {
  return closing.aborted
    ? (closing.reason as SluiceError)
    : new SluiceError("wait_timeout", "The client disconnected before the answer was ready.");
}
