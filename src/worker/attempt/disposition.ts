// Decides the disposition of a job, its charge and its deployment after a call, or when a call cannot be sent. Pure.
//
//   answer          completed   completed                             its usage          in order
//   not sent        not_sent    see `dispositionOfUnsent`             void
//
//   failure         attempt     job                                   charge             deployment
//   throttled       throttled   requeued                              request, 0 tokens  the quota learns
//   capacity        capacity    requeued                              request, 0 tokens  cools down
//   misconfigured   capacity    requeued                              request, 0 tokens  out of service, reason shown
//   unclear         capacity    requeued, or failed                    request, 0 tokens  accused: other jobs decide
//   transient       transient   backoff, or failed after the last try  kept if maybe billed
//   permanent       permanent   failed, the provider's own message    kept if maybe billed
//   aborted by us   unknown     see `dispositionOfAbort`              kept
//
// A job that is refused while others are served fails as well (`rejection`). The scheduler reports that when it settles.
//
// A refused call generated nothing, but the provider may have counted it as a request. So its request stays charged and
// only the tokens are released. Usage that the provider reports is always charged.
import { failedTries, mayTry } from "../../domain/attempts.ts";
import type { Attempt, AttemptEnd, JobError, JobHead, Outcome } from "../../domain/job.ts";
import type { ProviderAnswer, ProviderFailure } from "../../providers/provider.ts";
import type { DeploymentSignal, Settlement } from "../../scheduler/scheduler.ts";
import { usageCharge } from "./call-usage.ts";
import type { AbortCause } from "./running-call.ts";

/** What a model wrote. */
type AnswerParts = Pick<Outcome, "text" | "toolCalls" | "reasoning" | "native" | "vectors">;

export interface Disposition {
  attempt: Pick<AttemptEnd, "result" | "error" | "usage" | "requestId" | "serviceTier" | "firstTokenMs">;
  /** How the job ends. Absent if it returns to the queue or has ended already. */
  outcome?: Pick<Outcome, "status" | "error" | "finishReason" | "usage" | keyof AnswerParts>;
  settlement: Pick<Settlement, "job" | "charge" | "signal">;
  /** How the job ends if the scheduler decides that the job itself causes its refusals. */
  rejection?: JobError;
}

/** An ended attempt: its disposition, and its end as it is recorded. */
export interface EndedAttempt {
  disposition: Disposition;
  end: AttemptEnd;
}

export interface RetryPolicy {
  maxFailedTries: number;
  backoffBaseMs: number;
  backoffMaxMs: number;
  /** Returns a random number, uniform in [0, 1). */
  random: () => number;
}

/** A tried job, the attempt that failed, and the earlier attempts. */
export interface Tried {
  job: JobHead;
  attempt: Attempt;
  earlier: readonly Attempt[];
}

/** Longest Retry-After that is obeyed, in milliseconds. */
const longestRetryAfterMs = 10 * 60_000;

export function dispositionOfAnswer(answer: ProviderAnswer, { attempt }: Tried): Disposition {
  const { text, toolCalls, reasoning, native, vectors, finishReason } = answer;
  const { usage, requestId, serviceTier, firstTokenMs } = answer;
  const counted = answer.quotaUsage ?? usage;
  return {
    attempt: {
      result: "completed",
      usage,
      requestId,
      serviceTier,
      firstTokenMs: firstTokenMs === undefined ? undefined : Math.round(firstTokenMs),
    },
    outcome: {
      status: "completed",
      text,
      toolCalls: toolCalls.length > 0 ? toolCalls : undefined,
      reasoning,
      native,
      vectors,
      finishReason,
      usage,
    },
    settlement: {
      job: "ended",
      charge: counted === undefined ? "keep" : usageCharge(counted, attempt.reserved),
      signal: { kind: "ok" },
    },
  };
}

/**
 * Why a call is not sent:
 * - an `AbortCause`
 * - `cancelled`  the job's batch was cancelled
 * - `late`       its charge is outdated, and either the quotas do not admit a new one or the lease is lost
 */
export type UnsentCause = AbortCause | "cancelled" | "late";

/** Returns the disposition of a call that was not sent: nothing was billed and nothing was learned. */
export function dispositionOfUnsent(cause: UnsentCause): Disposition {
  const attempt = { result: "not_sent" } as const;
  const settledAs = (job: Settlement["job"]) => ({ job, charge: "void", signal: { kind: "none" } }) as const;
  switch (cause) {
    case "ended":
      return { attempt, settlement: settledAs("ended") };
    case "cancelled":
      return { attempt, outcome: { status: "cancelled" }, settlement: settledAs("ended") };
    case "expired":
      return { attempt, outcome: { status: "expired", error: deadlinePassed }, settlement: settledAs("ended") };
    case "late":
    case "shutdown":
      return { attempt, settlement: settledAs({ requeueAfterMs: 0 }) };
  }
}

export function dispositionOf(failure: ProviderFailure, tried: Tried, policy: RetryPolicy): Disposition {
  const { code, message, usage, requestId, retryAfterMs } = failure;
  const error = { code, message };
  const charge = chargeOf(failure, tried);
  const backInPlace = (signal: DeploymentSignal): Disposition["settlement"] => ({
    job: { requeueAfterMs: 0 },
    charge,
    signal,
  });

  switch (failure.kind) {
    case "throttled":
      return {
        attempt: { result: "throttled", error, requestId },
        settlement: backInPlace({
          kind: "throttled",
          throttle: failure.throttle ?? "unknown",
          ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
        }),
      };
    case "capacity":
      return {
        attempt: { result: "capacity", error, requestId },
        settlement: backInPlace({
          kind: "capacity",
          reason: message,
          ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
        }),
        rejection: {
          code: "tries_exhausted",
          message: `The provider refused every attempt of the job while it served other jobs. The last error was: ${message}`,
        },
      };
    case "misconfigured":
      return {
        attempt: { result: "capacity", error, requestId },
        settlement: backInPlace({ kind: "misconfigured", reason: message }),
        rejection: { code: "provider_rejected", message },
      };
    case "unclear":
      return {
        attempt: { result: "capacity", error, requestId },
        settlement: backInPlace({ kind: "refused", reason: withAdvice(failure) }),
        rejection: error,
      };
    case "permanent":
      return {
        attempt: { result: "permanent", error, usage, requestId, serviceTier: failure.serviceTier },
        outcome: { status: "failed", error },
        settlement: { job: "ended", charge, signal: { kind: "none" } },
      };
    // An abort that this process did not request is a fault on the way.
    case "aborted":
    case "transient":
      return dispositionOfTransient(failure, tried, policy);
  }
}

function dispositionOfTransient(failure: ProviderFailure, tried: Tried, policy: RetryPolicy): Disposition {
  const { code, message, usage, requestId } = failure;
  const { serviceTier } = failure;
  const attempt = { result: "transient", error: { code, message }, usage, requestId, serviceTier } as const;
  const charge = chargeOf(failure, tried);
  const failed = (why: JobError): Disposition => ({
    attempt,
    outcome: { status: "failed", error: why },
    settlement: { job: "ended", charge, signal: { kind: "none" } },
  });

  if (failure.maybeBilled && tried.job.onUnknown === "fail") return failed(unknownEnd(tried.attempt, message));
  const attempts = [...tried.earlier, { ...tried.attempt, end: { ...attempt, at: 0 } }];
  const may = mayTry(tried.job, attempts, policy.maxFailedTries);
  if (!may.ok) return failed(may.error);

  const requeueAfterMs =
    failure.retryAfterMs === undefined
      ? backoffMs(failedTries(attempts), policy)
      : Math.min(failure.retryAfterMs, longestRetryAfterMs);
  return { attempt, settlement: { job: { requeueAfterMs }, charge, signal: { kind: "none" } } };
}

/**
 * Returns the disposition of a call that this process aborted. Unless it was not sent, its result is unknown and it may
 * have been billed. So it counts as a failed attempt, and its reservation stays until it ages out.
 */
export function dispositionOfAbort(
  cause: AbortCause,
  tried: Tried,
  { usage, maybeBilled }: Pick<ProviderFailure, "usage" | "maybeBilled">,
  { maxFailedTries }: Pick<RetryPolicy, "maxFailedTries">,
): Disposition {
  if (!maybeBilled) return dispositionOfUnsent(cause);
  const attempt = { result: "unknown", usage } as const;
  const charge = usage === undefined ? "keep" : usageCharge(usage, tried.attempt.reserved);
  const settledAs = (job: Settlement["job"]) => ({ job, charge, signal: { kind: "none" } }) as const;
  const failed = (error: JobError): Disposition => ({
    attempt,
    outcome: { status: "failed", error },
    settlement: settledAs("ended"),
  });
  switch (cause) {
    case "ended":
      return { attempt, settlement: settledAs("ended") };
    case "expired":
      return { attempt, outcome: { status: "expired", error: deadlinePassed }, settlement: settledAs("ended") };
    case "shutdown": {
      if (tried.job.onUnknown === "fail") {
        return failed(unknownEnd(tried.attempt, "The service stopped while the call was running."));
      }
      const attempts = [...tried.earlier, { ...tried.attempt, end: { ...attempt, at: 0 } }];
      const may = mayTry(tried.job, attempts, maxFailedTries);
      if (!may.ok) return failed(may.error);
      return { attempt, settlement: settledAs({ requeueAfterMs: 0 }) };
    }
  }
}

/** Returns why a deployment is out of service: the provider's message, and what to do. */
function withAdvice({ message, advice }: ProviderFailure): string {
  return advice === undefined ? message : `${/[.!?…]$/.test(message) ? message : `${message}.`} ${advice}`;
}

export const deadlinePassed: JobError = {
  code: "expired",
  message: "The deadline passed before the job completed.",
};

function chargeOf(failure: ProviderFailure, { attempt }: Tried): Settlement["charge"] {
  const counted = failure.quotaUsage ?? failure.usage;
  if (counted !== undefined) return usageCharge(counted, attempt.reserved);
  return failure.maybeBilled ? "keep" : { input: 0, output: 0 };
}

/**
 * Returns an exponential backoff with full jitter, in milliseconds: uniform between 0 and base * 2^(tries - 1), at most
 * the maximum.
 */
function backoffMs(tries: number, policy: RetryPolicy): number {
  const ceiling = Math.min(policy.backoffMaxMs, policy.backoffBaseMs * 2 ** (tries - 1));
  return policy.random() * ceiling;
}

function unknownEnd(attempt: Attempt, detail: string): JobError {
  return {
    code: "unknown_end",
    message:
      `Attempt ${attempt.n} ended without a usable answer and may have been billed; the job does not allow another ` +
      `attempt (on_unknown: fail). ${detail}`,
  };
}
