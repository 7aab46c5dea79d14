// Ends long streams whose caller may no longer read: its key was revoked, or its session has ended.
import type { FastifyRequest } from "fastify";
import { SluiceError } from "../domain/errors.ts";
import type { Caller } from "../jobs/caller.ts";
import type { KeyRegistry } from "../jobs/keys/key-registry.ts";

/** Interval at which a stream checks its caller, in milliseconds. It also checks whenever keys change. */
const checkMs = 5_000;

/**
 * Returns the caller of a request.
 * @throws SluiceError `unauthenticated`; what the store throws
 */
export type FindCaller = (request: FastifyRequest) => Promise<Caller>;

/** Calls `end` once the caller of a request may no longer read. Returns a function that stops the watch. */
export type WatchCaller = (request: FastifyRequest, end: () => void) => () => void;

/**
 * Returns the watch of a server's callers. A caller counts as valid while the store is unreachable.
 * @param findCaller throws SluiceError `unauthenticated` if the caller of a request may no longer read
 */
export function callerWatch(keys: Pick<KeyRegistry, "onChange">, findCaller: FindCaller): WatchCaller {
  return (request, end) => {
    const check = () =>
      findCaller(request).catch((error) => {
        if (error instanceof SluiceError && error.code === "unauthenticated") end();
      });
    const timer = setInterval(check, checkMs);
    const ignoreKeys = keys.onChange(check);
    return () => {
      clearInterval(timer);
      ignoreKeys();
    };
  };
}
