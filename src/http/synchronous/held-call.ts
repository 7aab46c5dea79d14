// Reads the options of a call whose client gives up after a while and sends the same request again, as AWS's SDKs do. A
// call that is answered in one piece cannot be kept alive, so it is answered before the client gives up, and its job
// stays in the queue. A stream waits as long as its client does.
import type { FastifyRequest } from "fastify";
import Type from "typebox";
import type { Settings } from "../../config/settings.ts";
import { quote, SluiceError } from "../../domain/errors.ts";
import { type Priority, priorities } from "../../domain/job.ts";
import type { Caller } from "../../jobs/caller.ts";
import { priorityFor } from "../../jobs/submit/policy.ts";
import type { Dialect } from "../../telemetry/metrics.ts";
import { type CallOptions, callHeaders, readCallOptions } from "./synchronous-call.ts";

/** Longest time that a client may ask for, in seconds. */
const maxHoldS = 24 * 3600;
/** Default, in seconds. Less than the 60 s after which boto3 and many proxies give up. */
const defaultHoldS = 55;
/** Time before the client gives up at which the call is answered, in milliseconds. */
const marginMs = 2_000;

/** The headers for the `headers` of a route's schema. They only document the headers; `readHeldCall` checks them. */
export const heldCallHeaders = Type.Object({
  ...callHeaders.properties,
  "x-sluice-priority": Type.Optional(
    Type.Enum([...priorities], { description: "The job's priority. Default: the highest that the key allows." }),
  ),
  "x-sluice-max-wait": Type.Optional(
    Type.String({
      description:
        "Maximum time to hold a call that is not streamed, in whole seconds from 1 to 86400. After it, the call gets a 503 with Retry-After, and the job stays queued. Default: the key's max_wait_s, or 55.",
    }),
  ),
});

export interface HeldCall {
  /** Whether the answer is a stream. */
  streamed: boolean;
  /** What the call does. Two operations never share an Idempotency-Key. */
  operation: string;
  /** Milliseconds since the epoch. */
  now: number;
}

/**
 * Reads what a request says about its call outside of the body.
 * @throws SluiceError as `readCallOptions`, and `forbidden`
 */
export function readHeldCall(
  request: FastifyRequest,
  settings: Settings,
  dialect: Dialect,
  { streamed, operation, now }: HeldCall,
): CallOptions {
  const options = readCallOptions(request, settings, dialect, operation);
  const waitMs = holdMsOf(request, now);
  return {
    ...options,
    priority: priorityOf(request) ?? options.priority,
    waitMs: streamed ? Number.POSITIVE_INFINITY : waitMs,
    afterWait: "return",
  };
}

function priorityOf({ headers, caller }: Pick<FastifyRequest, "headers" | "caller">): Priority | undefined {
  const field = "x-sluice-priority";
  const named = headers[field];
  if (named === undefined) return undefined;
  const priority = priorities.find((one) => one === named);
  if (priority !== undefined) return priorityFor(caller, priority);
  const allowed = priorities.join(", ");
  throw new SluiceError("invalid_request", `${field} must be one of ${allowed}; got ${quote(String(named))}.`, {
    field,
  });
}

/**
 * Returns how long to hold a call, in milliseconds.
 * @param now milliseconds since the epoch
 * @throws SluiceError `invalid_request`
 */
export function holdMsOf({ headers, caller }: Pick<FastifyRequest, "headers" | "caller">, now: number): number {
  const wantedMs = 1000 * wantedS(headers["x-sluice-max-wait"], caller);
  const leftMs = deadlineOf(headers["amz-sdk-request"]) - now - marginMs;
  // A deadline that has passed, or is too near to be of use, comes from a clock that differs.
  return leftMs >= 1000 ? Math.min(wantedMs, leftMs) : wantedMs;
}

function wantedS(header: string | string[] | undefined, { maxWaitS = defaultHoldS }: Caller): number {
  if (header === undefined) return maxWaitS;
  const seconds = /^\d{1,5}$/.test(String(header)) ? Number(header) : 0;
  if (seconds >= 1 && seconds <= maxHoldS) return seconds;
  const message = `x-sluice-max-wait must be whole seconds from 1 to ${maxHoldS}; got ${quote(String(header))}.`;
  throw new SluiceError("invalid_request", message, { field: "x-sluice-max-wait" });
}

/**
 * Returns when the client gives up, in milliseconds since the epoch. AWS's SDKs send it as
 * `ttl=20261201T101500Z; attempt=2`. Returns Infinity if the client does not say.
 */
function deadlineOf(header: string | string[] | undefined): number {
  const parts = /(?:^|;\s*)ttl=(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z(?:;|$)/.exec(String(header).slice(0, 200));
  if (!parts) return Number.POSITIVE_INFINITY;
  const [year, month, ...rest] = parts.slice(1).map(Number) as [number, number, number, number, number, number];
  return Date.UTC(year, month - 1, ...rest);
}
