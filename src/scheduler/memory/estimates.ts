// What one waiting job waits for, and when it will start if a given amount of work precedes it.
import { type Applicant, costOn, decide, earliestStart } from "../admission.ts";
import type { PauseTarget, WaitingOn } from "../scheduler.ts";
import { mayBeAtFault } from "../suspicion.ts";
import type { Entry } from "./queue-items.ts";
import type { Route } from "./routes.ts";

export interface Situation {
  now: number;
  open: boolean;
  /** The pause that applies to the owner's jobs, if any. */
  paused: PauseTarget | undefined;
  route: Route;
  applicant: Applicant;
}

/** Jobs and their tokens, in sum. */
export interface Load {
  jobs: number;
  input: number;
  output: number;
}

/** Returns what a waiting job waits for. `position` is its place in the queue; 1 is next. */
export function waitingOnOf(
  entry: Entry,
  { open, paused, route, now, applicant }: Situation,
  position: number,
): WaitingOn {
  if (!open) return { kind: "rebuild" };
  const { suspect } = applicant;
  const decision = decide(applicant, route.tiers, now);
  if (decision.kind === "impossible") return { kind: "configuration", reason: decision.reason };
  if (entry.state === "delayed") {
    return suspect && mayBeAtFault(suspect)
      ? { kind: "refused", deployment: suspect.deployment, reason: suspect.reason }
      : { kind: "delay" };
  }
  if (paused) return { kind: "paused", target: paused };
  if (decision.kind === "blocked") return decision.on;
  return { kind: position > 1 ? "fairness" : "turn" };
}

/**
 * Returns the time until the quotas have let through what precedes the job, and the job itself. Undefined if unknown.
 * @param ahead what precedes the job
 */
export function startsIn(
  entry: Entry,
  { applicant, route: { tiers }, now }: Situation,
  ahead: Load,
): number | undefined {
  const delay = entry.state === "delayed" ? Math.max(0, entry.readyAt - now) : 0;
  const first = earliestStart(applicant, tiers, now);
  if (!first) return undefined;
  const { deployments } = tiers.find((tier) => tier.deployments.includes(first.deployment))!;
  const inService = deployments.filter((deployment) => deployment.inService(now));
  // What precedes the job is spread over the deployments.
  let latest = first.at;
  for (const quota of first.deployment.quotas) {
    const units = quota.config.unit === "requests" ? ahead.jobs : costOn(quota, first.deployment, ahead);
    const own = costOn(quota, first.deployment, entry.tokens);
    latest = Math.max(latest, quota.freeAfter(Math.round(units / inService.length), own, now));
  }
  return Math.max(delay, latest - now);
}
