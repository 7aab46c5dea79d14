// Every row of the table in disposition.ts, and the bounds of the backoff for any random number.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Attempt, AttemptEnd, JobHead } from "../../../src/domain/job.ts";
import type { ProviderFailure } from "../../../src/providers/provider.ts";
import {
  dispositionOf,
  dispositionOfAbort,
  dispositionOfAnswer,
  dispositionOfUnsent,
  type RetryPolicy,
  type Tried,
  type UnsentCause,
} from "../../../src/worker/attempt/disposition.ts";

const policy: RetryPolicy = { maxFailedTries: 3, backoffBaseMs: 1000, backoffMaxMs: 60_000, random: () => 0.5 };

const job: JobHead = {
  id: "01890000-0000-7000-8000-000000000001",
  environment: "UAT",
  tenant: "default",
  priority: "standard",
  model: "llama",
  fallbackModels: [],
  tokens: { input: 10, output: 100 },
  submittedAt: 0,
  onUnknown: "retry",
};

function attempt(n: number, result?: AttemptEnd["result"]): Attempt {
  return {
    jobId: job.id,
    n,
    grant: `grant-${n}`,
    deployment: "bedrock/us-east-1/llama",
    model: "llama",
    worker: "w",
    chargedAt: 0,
    reserved: job.tokens,
    ...(result && { end: { result, at: 0, ...(result === "transient" && { error: { code: "x", message: "cut" } }) } }),
  };
}

const first: Tried = { job, attempt: attempt(1), earlier: [] };
const failure = (f: Partial<ProviderFailure> & Pick<ProviderFailure, "kind">): ProviderFailure => ({
  code: "model_unavailable",
  message: "in the provider's own words",
  maybeBilled: false,
  ...f,
});
const refused = { input: 0, output: 0 };
const cut = failure({ kind: "aborted", maybeBilled: true });

describe("what becomes of a job after an answer, or without a call", () => {
  const answer = { text: "Yes.", toolCalls: [], finishReason: "stop" as const };

  test("an answer completes the job; its usage, or what the quotas count of it, takes the place of the reservation", () => {
    const usage = { input: 9, output: 4, cacheRead: 5 };
    const { attempt, outcome, settlement } = dispositionOfAnswer({ ...answer, usage, firstTokenMs: 1.6 }, first);
    expect(attempt).toMatchObject({ result: "completed", usage, firstTokenMs: 2 });
    expect(outcome).toEqual({ status: "completed", text: "Yes.", finishReason: "stop", usage });
    expect(settlement).toEqual({ job: "ended", charge: { input: 9, output: 4 }, signal: { kind: "ok" } });
    const quotaUsage = { input: 14, output: 4 };
    expect(dispositionOfAnswer({ ...answer, usage, quotaUsage }, first).settlement.charge).toEqual(quotaUsage);
  });

  test("an answer without usage keeps the reservation charged", () => {
    expect(dispositionOfAnswer(answer, first).settlement.charge).toBe("keep");
  });

  test("a call that never left charges nothing and accuses no deployment; the job's fate goes by the cause", () => {
    const fateOf = (cause: UnsentCause) => {
      const { attempt, outcome, settlement, rejection } = dispositionOfUnsent(cause);
      expect(attempt).toEqual({ result: "not_sent" });
      expect(settlement).toMatchObject({ charge: "void", signal: { kind: "none" } });
      expect(rejection).toBeUndefined();
      return [settlement.job, outcome?.status];
    };
    expect(fateOf("ended")).toEqual(["ended", undefined]);
    expect(fateOf("cancelled")).toEqual(["ended", "cancelled"]);
    expect(fateOf("expired")).toEqual(["ended", "expired"]);
    expect(fateOf("late")).toEqual([{ requeueAfterMs: 0 }, undefined]);
    expect(fateOf("shutdown")).toEqual([{ requeueAfterMs: 0 }, undefined]);
  });
});

describe("what becomes of a job after a call without an answer", () => {
  test("throttled: back to its place at once; the quota is told which and for how long", () => {
    const disposition = dispositionOf(
      failure({ kind: "throttled", throttle: "tokens", retryAfterMs: 7000 }),
      first,
      policy,
    );
    expect(disposition.attempt.result).toBe("throttled");
    expect(disposition.outcome).toBeUndefined();
    expect(disposition.settlement).toEqual({
      job: { requeueAfterMs: 0 },
      charge: refused,
      signal: { kind: "throttled", throttle: "tokens", retryAfterMs: 7000 },
    });
  });

  test("what a provider's quotas count goes before what it bills", () => {
    const used = { usage: { input: 3, output: 5, cacheRead: 7 }, quotaUsage: { input: 10, output: 5 } };
    const { attempt, settlement } = dispositionOf(failure({ kind: "permanent", ...used }), first, policy);
    expect(attempt.usage).toEqual(used.usage);
    expect(settlement.charge).toEqual(used.quotaUsage);
  });

  test("throttled without a kind: the scheduler is told that it is unknown", () => {
    const { settlement } = dispositionOf(failure({ kind: "throttled" }), first, policy);
    expect(settlement.signal).toEqual({ kind: "throttled", throttle: "unknown" });
  });

  test("capacity: back to its place; the deployment cools down", () => {
    const disposition = dispositionOf(failure({ kind: "capacity" }), first, policy);
    expect(disposition.attempt.result).toBe("capacity");
    expect(disposition.settlement).toEqual({
      job: { requeueAfterMs: 0 },
      charge: refused,
      signal: { kind: "capacity", reason: failure({ kind: "capacity" }).message },
    });
  });

  test("misconfigured: the job is kept and the deployment shows the provider's words", () => {
    const disposition = dispositionOf(failure({ kind: "misconfigured" }), first, policy);
    expect(disposition.attempt).toMatchObject({
      result: "capacity",
      error: { code: "model_unavailable", message: "in the provider's own words" },
    });
    expect(disposition.outcome).toBeUndefined();
    expect(disposition.settlement.signal).toEqual({ kind: "misconfigured", reason: "in the provider's own words" });
  });

  test("neither throttles nor lack of capacity ever use up a job's tries", () => {
    const earlier = Array.from({ length: 50 }, (_, i) => attempt(i + 1, i % 2 ? "throttled" : "capacity"));
    const tried = { job, attempt: attempt(51), earlier };
    for (const kind of ["throttled", "capacity", "misconfigured", "transient"] as const) {
      expect(dispositionOf(failure({ kind }), tried, policy).outcome).toBeUndefined();
    }
  });

  test("transient: tried again later, until the tries are used up; then the last words are shown", () => {
    const second = { job, attempt: attempt(2), earlier: [attempt(1, "transient")] };
    const last = { job, attempt: attempt(3), earlier: [attempt(1, "transient"), attempt(2)] };
    const delay = (tried: Tried) => dispositionOf(failure({ kind: "transient" }), tried, policy).settlement.job;
    expect(delay(first)).toEqual({ requeueAfterMs: 500 });
    expect(delay(second)).toEqual({ requeueAfterMs: 1000 });
    const disposition = dispositionOf(failure({ kind: "transient" }), last, policy);
    expect(disposition.settlement.job).toBe("ended");
    expect(disposition.outcome?.error?.code).toBe("tries_exhausted");
    expect(disposition.outcome?.error?.message).toContain("in the provider's own words");
  });

  test("the backoff is never longer than its maximum, whatever the try and the random number", () => {
    const anyTry = fc.record({
      earlier: fc.integer({ min: 0, max: 200 }),
      random: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    });
    fc.assert(
      fc.property(anyTry, ({ earlier, random }) => {
        const tried = {
          job,
          attempt: attempt(earlier + 1),
          earlier: Array.from({ length: earlier }, (_, i) => attempt(i + 1, "transient")),
        };
        const disposition = dispositionOf(failure({ kind: "transient" }), tried, {
          ...policy,
          random: () => random,
          maxFailedTries: 1000,
        });
        const { requeueAfterMs } = disposition.settlement.job as { requeueAfterMs: number };
        expect(requeueAfterMs).toBeGreaterThanOrEqual(0);
        expect(requeueAfterMs).toBeLessThanOrEqual(Math.min(policy.backoffMaxMs, 1000 * 2 ** earlier));
      }),
    );
  });

  test("a provider's wish to wait is heard, within reason", () => {
    const delayFor = (retryAfterMs: number) =>
      dispositionOf(failure({ kind: "transient", retryAfterMs }), first, policy).settlement.job;
    expect(delayFor(30_000)).toEqual({ requeueAfterMs: 30_000 });
    expect(delayFor(1e12)).toEqual({ requeueAfterMs: 600_000 });
  });

  test("permanent: failed at once with the provider's own message", () => {
    const disposition = dispositionOf(failure({ kind: "permanent", code: "provider_rejected" }), first, policy);
    expect(disposition.attempt.result).toBe("permanent");
    expect(disposition.outcome).toEqual({
      status: "failed",
      error: { code: "provider_rejected", message: "in the provider's own words" },
    });
    expect(disposition.settlement).toEqual({ job: "ended", charge: refused, signal: { kind: "none" } });
  });

  test("the reservation stays if the call may have been billed; known usage replaces it", () => {
    const charge = (f: Partial<ProviderFailure>) =>
      dispositionOf(failure({ kind: "transient", ...f }), first, policy).settlement.charge;
    expect(charge({ maybeBilled: true })).toBe("keep");
    expect(charge({ maybeBilled: true, usage: { input: 9, output: 4, cacheRead: 5 } })).toEqual({
      input: 9,
      output: 4,
    });
    expect(charge({ maybeBilled: false })).toEqual(refused);
  });

  test("on_unknown: fail does not try again what may have been billed", () => {
    const tried = { ...first, job: { ...job, onUnknown: "fail" as const } };
    expect(dispositionOf(failure({ kind: "transient", maybeBilled: true }), tried, policy).outcome?.error?.code).toBe(
      "unknown_end",
    );
    expect(dispositionOf(failure({ kind: "transient", maybeBilled: false }), tried, policy).outcome).toBeUndefined();
    expect(dispositionOfAbort("shutdown", tried, cut, policy).outcome?.error?.code).toBe("unknown_end");
  });

  test("a call that we cut off keeps its reservation; the job's fate goes by the cause", () => {
    const fateOf = (cause: Parameters<typeof dispositionOfAbort>[0]) => {
      const { attempt, outcome, settlement } = dispositionOfAbort(cause, first, cut, policy);
      expect(attempt.result).toBe("unknown");
      expect(settlement).toMatchObject({ charge: "keep", signal: { kind: "none" } });
      return [settlement.job, outcome?.status];
    };
    expect(fateOf("ended")).toEqual(["ended", undefined]);
    expect(fateOf("expired")).toEqual(["ended", "expired"]);
    expect(fateOf("shutdown")).toEqual([{ requeueAfterMs: 0 }, undefined]);
  });

  test("A1: a call that we cut off counts as a failed try; one that never left does not", () => {
    const thrice: Tried = { job, attempt: attempt(3), earlier: [attempt(1), attempt(2, "unknown")] };
    expect(dispositionOfAbort("shutdown", thrice, cut, policy).outcome?.error?.code).toBe("tries_exhausted");
    const unsent = dispositionOfAbort("shutdown", thrice, failure({ kind: "aborted" }), policy);
    expect(unsent.attempt.result).toBe("not_sent");
    expect(unsent.settlement).toMatchObject({ job: { requeueAfterMs: 0 }, charge: "void" });
  });
});
