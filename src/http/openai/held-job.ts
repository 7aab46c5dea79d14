// A job whose caller holds the line: how long, as what it is submitted, and what becomes of it when the caller has gone.
import type { FastifyRequest } from "fastify";
import Type from "typebox";
import type { Settings } from "../../config/settings.ts";
import { isErased } from "../../domain/erase.ts";
import { type ErrorCode, errorTable, SluiceError } from "../../domain/errors.ts";
import type { JobId } from "../../domain/ids.ts";
import { type Job, type JobRecord, type Priority, priorities } from "../../domain/job.ts";
import type { Caller } from "../../jobs/caller.ts";
import { cancel } from "../../jobs/cancel.ts";
import type { JobsContext } from "../../jobs/context.ts";
import { eraseAnswered } from "../../jobs/ephemeral.ts";
import type { SubmitInput } from "../../jobs/submit-input.ts";
import { idempotencyHeaders } from "../idempotency.ts";
import { environmentHeader, environmentOf } from "./environment.ts";

/** What a call may answer once its job is accepted. */
export const heldErrors: ErrorCode[] = [
  ...(["provider_rejected", "content_filtered", "cancelled", "malformed_output", "model_unavailable"] as const),
  ...(["tries_exhausted", "unknown_end", "expired", "wait_timeout", "stream_interrupted"] as const),
];

/** For the `headers` of a route's schema. */
export const heldHeaders = Type.Object({
  ...idempotencyHeaders.properties,
  ...environmentHeader,
  "x-sluice-keep": Type.Optional(
    Type.Enum(["true", "false"], {
      description:
        "true: the job goes on when the caller has gone. So it does with an Idempotency-Key, under which the caller can come back.",
    }),
  ),
});

/** Added to the longest wait, so that a deadline is heard of as such. */
const graceMs = 5000;

export interface Held {
  environment: string;
  priority: Priority;
  /** Whether the job goes on when its caller has gone. */
  keep: boolean;
  /** How long to wait for the answer. */
  waitMs: number;
}

/**
 * What a request says about itself outside of its body.
 * @throws SluiceError `unknown_environment`, `invalid_request`
 */
export function heldBy({ headers, caller }: FastifyRequest, settings: Settings): Held {
  const keep = headers["x-sluice-keep"];
  if (keep !== undefined && keep !== "true" && keep !== "false") {
    throw new SluiceError("invalid_request", "x-sluice-keep must be true or false.", { field: "x-sluice-keep" });
  }
  return {
    environment: environmentOf({ headers, caller }, settings),
    priority: highestOf(caller),
    keep: keep === undefined ? headers["idempotency-key"] !== undefined : keep === "true",
    waitMs: settings.limits.maxChatWaitS * 1000 + graceMs,
  };
}

function highestOf({ priorityMax }: Caller): Priority {
  return priorityMax ?? priorities[0];
}

/**
 * Nobody waits longer than the service allows, so a job that its caller does not keep has that as its deadline. It ends
 * then even if the process that waits for it has died.
 */
export function withDeadline(input: SubmitInput, { keep }: Held, settings: Settings): SubmitInput {
  if (keep) return input;
  return { ...input, expiresInMs: Math.min(input.expiresInMs ?? Infinity, settings.limits.maxChatWaitS * 1000) };
}

/**
 * Waits, and lets go of the job whatever comes of it: unless it is kept, it is cancelled if it has not ended.
 * @param wait answers with the job as it was when the waiting ended
 */
export async function whileHeld(
  context: JobsContext,
  { job, caller, held }: { job: Job; caller: Caller; held: Held },
  wait: () => Promise<JobRecord>,
): Promise<JobRecord> {
  let record: JobRecord | undefined;
  try {
    record = await wait();
    return record;
  } finally {
    if (!record?.outcome && !held.keep) record = await cancelQuietly(context, job.id, caller);
    if (record) await eraseAnswered(context, record);
  }
}

/** Never fails: what is left undone is bounded by the deadline. */
async function cancelQuietly(context: JobsContext, jobId: JobId, caller: Caller): Promise<JobRecord | undefined> {
  try {
    return await cancel(context, jobId, caller);
  } catch (error) {
    // It has ended otherwise meanwhile.
    if (error instanceof SluiceError && error.code === "conflict")
      return context.store.get(jobId).catch(() => undefined);
    context.log.warn({ err: error, jobId }, "a job whose caller has gone could not be cancelled");
    return undefined;
  }
}

/** Why there is no answer; undefined if there is one. */
export function failureOf({ job, outcome }: JobRecord, closing: AbortSignal): SluiceError | undefined {
  const jobId = job.id;
  if (!outcome) {
    if (closing.aborted) return closing.reason as SluiceError;
    return new SluiceError("wait_timeout", "The answer was not there in time; the job goes on.", { jobId });
  }
  switch (outcome.status) {
    case "completed":
      // Asked for again under the Idempotency-Key of a job that left nothing behind.
      if (!isErased(job.request)) return undefined;
      return new SluiceError("conflict", "The job was answered before, and its texts have been erased.", { jobId });
    case "cancelled":
      return new SluiceError("cancelled", "The job was cancelled.", { jobId });
    default: {
      const { code = outcome.status, message = `The job has ${outcome.status}.` } = outcome.error ?? {};
      return new SluiceError(Object.hasOwn(errorTable, code) ? (code as ErrorCode) : "internal", message, { jobId });
    }
  }
}
