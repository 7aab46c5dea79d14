// Detects that a client disconnected and that the server is closing.
import type { FastifyReply } from "fastify";
import { SluiceError } from "../domain/errors.ts";
import { sharedAbort } from "../domain/shared-abort.ts";
import type { HttpServer } from "./http-types.ts";

/**
 * Returns a signal that aborts when the server closes, so that waiting requests end. Its reason is the error to answer
 * with.
 */
export function closingSignal(app: HttpServer): AbortSignal {
  const closing = sharedAbort();
  app.addHook("preClose", async () => closing.abort(new SluiceError("unavailable", "The service is stopping.")));
  return closing.signal;
}

/**
 * Returns a signal that aborts when the client disconnects or the server closes. It listens to the reply's `close`,
 * because the request's `close` fires once the request has been read. It avoids AbortSignal.any: with a signal that
 * lives as long as the process, that would leak 60 bytes per request.
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

/**
 * Returns the error to throw once the signal of `disconnectSignal` has aborted. A disconnect is not a failure; only a
 * closing server is.
 */
export function disconnectError(closing: AbortSignal): SluiceError {
  return closing.aborted
    ? (closing.reason as SluiceError)
    : new SluiceError("wait_timeout", "The client disconnected before the answer was ready.");
}
