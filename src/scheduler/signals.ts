// What is learned of a deployment and its quotas from how a call ended.
import type { Deployment } from "./deployment.ts";
import type { Quota } from "./quota.ts";
import type { DeploymentSignal } from "./scheduler.ts";

/** How long a daily quota is left alone after the provider said that it is used up. */
const dailyParkMs = 15 * 60_000;

type Throttled = Extract<DeploymentSignal, { kind: "throttled" }>;

export function applySignal(deployment: Deployment, signal: DeploymentSignal, now: number): void {
  switch (signal.kind) {
    case "none":
      return;
    case "ok":
      deployment.succeeded(now);
      for (const quota of deployment.quotas) quota.succeeded(now);
      return;
    case "capacity":
      deployment.coolDown(now, "The provider is overloaded or unavailable.", signal.retryAfterMs);
      return;
    case "misconfigured":
      deployment.takeOut(now, signal.reason);
      return;
    case "throttled":
      throttled(deployment, signal, now);
  }
}

function throttled(deployment: Deployment, signal: Throttled, now: number): void {
  if (signal.throttle === "tokens_per_day") {
    const parkMs = signal.retryAfterMs ?? dailyParkMs;
    const daily = deployment.quotas.filter((quota) => quota.config.per === "day");
    for (const quota of daily) quota.park(now + parkMs);
    if (daily.length === 0) deployment.coolDown(now, "The provider says that its tokens per day are used up.", parkMs);
    return;
  }
  const quotas = exceeded(deployment, signal.throttle, now);
  for (const quota of quotas) quota.throttled(now, signal.retryAfterMs);
  // A limit that the configuration does not know of: all that can be done is to wait.
  if (quotas.length === 0)
    deployment.coolDown(now, "The provider throttles by a quota that is not configured.", signal.retryAfterMs);
}

/** The quotas that a throttle speaks of; where it names none, the fullest. */
function exceeded(deployment: Deployment, throttle: Throttled["throttle"], now: number): Quota[] {
  const minutely = deployment.quotas.filter((quota) => quota.config.per === "minute");
  if (throttle === "requests") return minutely.filter((quota) => quota.config.unit === "requests");
  if (throttle === "tokens") return minutely.filter((quota) => quota.config.unit !== "requests");
  const fullness = (quota: Quota) => quota.used(now) / quota.effectiveLimit;
  return minutely.sort((a, b) => fullness(b) - fullness(a)).slice(0, 1);
}
