// Applies what the end of a call showed to its deployment and its quotas.
import type { TokenCount } from "../domain/tokens.ts";
import { costOn } from "./admission.ts";
import type { Deployment } from "./deployment.ts";
import type { Quota } from "./quota.ts";
import type { DeploymentSignal } from "./scheduler.ts";
import type { Judgement, Refusal } from "./suspicion.ts";

/** Returns what a signal says about the refused job, or undefined if it says nothing. */
export function refusalOf(signal: DeploymentSignal, deployment: Deployment, now: number): Refusal | undefined {
  if (signal.kind === "ok" || signal.kind === "none") return undefined;
  if (signal.kind !== "throttled") return signal;
  const isExplained = signal.throttle !== "tokens_per_day" && exceeded(deployment, signal.throttle, now).length > 0;
  const { retryAfterMs } = signal;
  return { kind: isExplained ? "quota" : "throttled", reason: "The provider throttled the job.", retryAfterMs };
}

/**
 * Returns the signal without the provider's Retry-After where that concerns only this job.
 * It does if a deployment that refused the job has answered others since. A quota per minute closes only for a job's
 * first throttle, because the window is empty after that. A quota per day always belongs to the account.
 */
function withoutJobRetryAfter(signal: DeploymentSignal, judgement: Judgement | undefined): DeploymentSignal {
  if (!judgement || !("retryAfterMs" in signal)) return signal;
  const { kind, times, strikes } = judgement.suspect;
  if (strikes === 0 && !(kind === "quota" && times > 1)) return signal;
  if (signal.kind === "throttled" && signal.throttle === "tokens_per_day") return signal;
  const { retryAfterMs: _, ...rest } = signal;
  return rest;
}

interface SignalledCall {
  entry: { readonly jobId: string };
  deployment: Deployment;
  grantedAt: number;
  reserved: TokenCount;
  /** Whether the call left later than its charge allowed. A throttle then says nothing about the quota's limit. */
  wasLate?: boolean;
}

type Throttled = Extract<DeploymentSignal, { kind: "throttled" }>;

/**
 * Applies a signal to the call's deployment and quotas.
 * @param call the call, with the time of its grant
 * @param all all deployments, the call's included
 * @param judgement the judgement of the job; absent if the signal says nothing about it
 */
export function applySignal(
  call: SignalledCall,
  reported: DeploymentSignal,
  now: number,
  all: Iterable<Deployment>,
  judgement?: Judgement,
): void {
  const { deployment, grantedAt } = call;
  const signal = withoutJobRetryAfter(reported, judgement);
  switch (signal.kind) {
    case "none":
      deployment.noteInconclusive();
      return;
    case "ok":
      deployment.succeeded(grantedAt);
      for (const quota of deployment.quotas) quota.succeeded(now);
      return;
    case "capacity":
      deployment.coolDown(
        now,
        signal.reason ?? "The provider is overloaded or unavailable.",
        grantedAt,
        signal.retryAfterMs,
      );
      return;
    case "misconfigured":
      deployment.takeOut(now, signal.reason);
      return;
    case "refused":
      deployment.accuse(call.entry.jobId, now, signal.reason, grantedAt);
      return;
    case "throttled":
      deployment.noteInconclusive();
      if (signal.throttle === "tokens_per_day") usedUpToday(deployment, now, all, signal.retryAfterMs);
      else throttled(call, signal, now, !call.wasLate && (judgement?.isNews ?? true));
  }
}

/** Parks every deployment that shares the used-up tokens, and the quotas themselves, which survive a restart. */
function usedUpToday(deployment: Deployment, now: number, all: Iterable<Deployment>, retryAfterMs?: number): void {
  const daily = deployment.quotas.filter(isTokensPerDay);
  const names = daily.map((quota) => quota.config.name).join(", ");
  const what = daily.length > 0 ? `of ${names}` : `in ${deployment.dailyPool}`;
  for (const other of all) {
    const shares =
      daily.length > 0
        ? other.quotas.some((quota) => daily.includes(quota))
        : other.dailyPool === deployment.dailyPool && !other.quotas.some(isTokensPerDay);
    if (shares) other.park(now, `The provider says that the tokens per day ${what} are used up.`, retryAfterMs);
  }
  const until = deployment.outage(now)?.until;
  for (const quota of daily) if (until !== undefined) quota.park(until);
}

function isTokensPerDay({ config }: Quota): boolean {
  return config.per === "day" && config.unit !== "requests";
}

function throttled(
  { deployment, grantedAt, reserved }: SignalledCall,
  signal: Throttled,
  now: number,
  isNews: boolean,
): void {
  const quotas = exceeded(deployment, signal.throttle, now);
  for (const quota of quotas) {
    const cost = costOn(quota, deployment, reserved);
    quota.throttled(now, cost, grantedAt, signal.retryAfterMs, isNews);
  }
  // The limit is not in the configuration, so all that can be done is to wait.
  if (quotas.length === 0)
    deployment.coolDown(
      now,
      "The provider throttles by a quota that is not configured.",
      grantedAt,
      signal.retryAfterMs,
    );
}

/** Returns the quotas that a throttle means; the fullest if it names none. */
function exceeded(deployment: Deployment, throttle: Throttled["throttle"], now: number): Quota[] {
  const minutely = deployment.quotas.filter((quota) => quota.config.per === "minute");
  if (throttle === "requests") return minutely.filter((quota) => quota.config.unit === "requests");
  if (throttle === "tokens") return minutely.filter((quota) => quota.config.unit !== "requests");
  const fullness = (quota: Quota) => quota.used(now) / quota.effectiveLimit;
  return minutely.sort((a, b) => fullness(b) - fullness(a)).slice(0, 1);
}
