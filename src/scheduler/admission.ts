// Decides whether a job may be called now, and where. Pure: looks at deployments and their quotas and charges nothing.
import type { TokenCount } from "../domain/tokens.ts";
import { fairCost, reservedCost, unlimitedFairCost } from "./cost.ts";
import type { Deployment } from "./deployment.ts";
import { type Quota, windowMs } from "./quota.ts";
import type { PauseTarget, WaitingOn } from "./scheduler.ts";
import { avoidedBy, givesWay, type Suspect } from "./suspicion.ts";

/** The deployments that serve one alias, in the configured order. */
export interface Tier {
  model: string;
  choice: "headroom" | "order";
  deployments: Deployment[];
  /** Whether an operator paused the model. */
  paused: boolean;
}

export type Decision =
  | { kind: "admitted"; deployment: Deployment; model: string }
  | {
      kind: "blocked";
      on: WaitingOn;
      /** When to try again; infinite if that depends on something other than time. */
      at: number;
      /**
       * Whether every job of the same route is blocked until then, whatever its size. If so, no other job needs to be
       * tried.
       */
      forAll: boolean;
      /**
       * Whether the job waits outside the queue until then. It was refused everywhere when it went alone (see
       * `Learning.parkedUntil`), or it is a suspect that lets others go first.
       */
      parked?: boolean;
    }
  | { kind: "impossible"; reason: string };

type Blocked = Extract<Decision, { kind: "blocked" }>;

export interface Applicant {
  jobId: string;
  tokens: TokenCount;
  /** What is known of the job if it was refused. */
  suspect?: Suspect;
}

export function costOn(quota: Quota, deployment: Deployment, tokens: TokenCount): number {
  return reservedCost(quota.config.unit, tokens, deployment.config.outputBurndown);
}

/** Returns the job's share of the scarcest quota of a deployment, in microseconds of quota time. */
export function fairCostOn(deployment: Deployment, tokens: TokenCount): number {
  let cost = 0;
  for (const quota of deployment.quotas) {
    cost = Math.max(cost, fairCost(costOn(quota, deployment, tokens), quota.config.limit, windowMs(quota.config)));
  }
  return deployment.quotas.length === 0 ? unlimitedFairCost : cost;
}

/**
 * Decides whether and where one job may run now.
 * @param tiers the job's own model first, then its fallbacks; a later tier is used only if nothing before it is in
 *   service
 * @param allowed deployments that the calling worker serves. Default: all
 */
export function decide(job: Applicant, tiers: readonly Tier[], now: number, allowed?: readonly string[]): Decision {
  const never = impossible(job, tiers);
  if (never) return never;
  if (tiers[0]!.paused) return pausedBy({ model: tiers[0]!.model }, true);
  const tier = activeTier(job, tiers, now);
  if (!tier) return outOfService(job, tiers, now);
  if (tier.paused) return pausedBy({ model: tier.model }, false);

  const before = tiers.slice(0, tiers.indexOf(tier)).flatMap((earlier) => earlier.deployments);
  let best: { deployment: Deployment; headroom: number } | undefined;
  let blocked: Blocked | undefined;
  // If this job is too large, a smaller one of the same route may fit.
  let forAll = !before.some((deployment) => deployment.inService(now));
  let parked = true;
  let givesWayTo = false;
  const avoided = avoidedIn(job, tier, now, allowed);
  for (const deployment of tier.deployments) {
    if (avoided?.has(deployment.id) || (allowed && !allowed.includes(deployment.id))) {
      parked = false;
      if (avoided?.has(deployment.id)) forAll = false;
      continue;
    }
    const obstacle = obstacleOf(job, deployment, now);
    if (obstacle) {
      parked &&= obstacle === "impossible" || obstacle.parked === true;
      forAll &&= obstacle !== "impossible" && obstacle.forAll;
      if (obstacle !== "impossible" && !(blocked && blocked.at <= obstacle.at)) blocked = obstacle;
      continue;
    }
    const other = givesWay(job.suspect, deployment.id) ? deployment.leftToOthers(now) : undefined;
    if (other) {
      givesWayTo = true;
      forAll = false;
      const on = { kind: "out_of_service", deployment: deployment.id, reason: other.reason } as const;
      if (!(blocked && blocked.at <= other.until)) blocked = { kind: "blocked", on, at: other.until, forAll: false };
      continue;
    }
    const headroom = headroomOf(job, deployment, now);
    if (!best || headroom > best.headroom) best = { deployment, headroom };
    if (tier.choice === "order") break;
  }
  if (best) return { kind: "admitted", deployment: best.deployment, model: tier.model };
  const { on, at } = blocked ?? { on: { kind: "turn" }, at: Number.POSITIVE_INFINITY };
  // A fallback is left as soon as a deployment before it returns to service.
  const back = before.map((deployment) => deployment.outage(now)?.until ?? Number.POSITIVE_INFINITY);
  return {
    kind: "blocked",
    on,
    at: Math.min(at, ...back),
    forAll,
    parked: givesWayTo || (parked && blocked !== undefined),
  };
}

/** Returns where and when a job that does not fit now will fit first, if nothing else is charged until then. */
export function earliestStart(
  job: Applicant,
  tiers: readonly Tier[],
  now: number,
  allowed?: readonly string[],
): { deployment: Deployment; at: number } | undefined {
  let best: { deployment: Deployment; at: number } | undefined;
  const tier = tiers[0]?.paused ? undefined : activeTier(job, tiers, now);
  const avoided = tier && avoidedIn(job, tier, now, allowed);
  for (const deployment of tier?.paused ? [] : (tier?.deployments ?? [])) {
    if (avoided?.has(deployment.id) || deployment.paused || (allowed && !allowed.includes(deployment.id))) continue;
    if (!deployment.inService(now) || !everAdmits(job, deployment)) continue;
    const at = Math.max(now, ...deployment.quotas.map((q) => q.earliest(costOn(q, deployment, job.tokens), now)));
    if (!best || at < best.at) best = { deployment, at };
  }
  return best;
}

/**
 * Returns the deployments of a tier that refused the job, if another one should be tried first; otherwise undefined.
 */
function avoidedIn(
  job: Applicant,
  tier: Tier,
  now: number,
  allowed?: readonly string[],
): ReadonlyMap<string, number> | undefined {
  const refusedAt = avoidedBy(job.suspect);
  const isElsewhere = (d: Deployment) =>
    !refusedAt?.has(d.id) && d.inService(now) && !d.paused && (allowed?.includes(d.id) ?? true) && everAdmits(job, d);
  return refusedAt !== undefined && tier.deployments.some(isElsewhere) ? refusedAt : undefined;
}

function everAdmits(job: Applicant, deployment: Deployment): boolean {
  return deployment.quotas.every((quota) => quota.everAdmits(costOn(quota, deployment, job.tokens)));
}

/**
 * Returns an `impossible` decision if no deployment of the job's own model can ever admit it. Fallbacks do not count:
 * they replace deployments that are out of service, not quotas that are too small.
 */
function impossible(job: Applicant, tiers: readonly Tier[]): Decision | undefined {
  const all = tiers[0]?.deployments ?? [];
  if (all.length === 0) {
    return {
      kind: "impossible",
      reason: "No deployment of the configuration serves this model in the allowed regions.",
    };
  }
  if (all.some((deployment) => everAdmits(job, deployment))) return undefined;
  const deployment = all[0]!;
  const quota = deployment.quotas.find((q) => !q.everAdmits(costOn(q, deployment, job.tokens)))!;
  const cost = costOn(quota, deployment, job.tokens);
  return {
    kind: "impossible",
    reason: `The job costs ${cost} ${quota.config.unit}, but the quota ${quota.config.name} admits at most ${quota.config.limit} per ${quota.config.per}.`,
  };
}

function activeTier(job: Applicant, tiers: readonly Tier[], now: number): Tier | undefined {
  return tiers.find((tier) => tier.deployments.some((d) => d.inService(now) && everAdmits(job, d)));
}

function outOfService(job: Applicant, tiers: readonly Tier[], now: number): Decision {
  const candidates = tiers.flatMap((tier) => tier.deployments).filter((deployment) => everAdmits(job, deployment));
  const first = candidates[0]!;
  const outage = first.outage(now)!;
  return {
    kind: "blocked",
    on: {
      kind: outage.state === "cooling_down" ? "cool_down" : "out_of_service",
      deployment: first.id,
      reason: outage.reason,
    },
    at: Math.min(...candidates.map((deployment) => deployment.outage(now)!.until)),
    forAll: !tiers.some((tier) => tier.deployments.some((deployment) => deployment.inService(now))),
  };
}

/** Blocks without a time limit, because resuming wakes the workers. */
function pausedBy(target: PauseTarget, forAll: boolean): Blocked {
  return { kind: "blocked", on: { kind: "paused", target }, at: Number.POSITIVE_INFINITY, forAll };
}

function obstacleOf(job: Applicant, deployment: Deployment, now: number): Blocked | "impossible" | undefined {
  if (deployment.paused) return pausedBy({ deployment: deployment.id }, true);
  const outage = deployment.outage(now);
  if (outage) {
    const kind = outage.state === "cooling_down" ? "cool_down" : "out_of_service";
    const on = { kind, deployment: deployment.id, reason: outage.reason } as const;
    return { kind: "blocked", on, at: outage.until, forAll: true };
  }
  if (!everAdmits(job, deployment)) return "impossible";
  if (!deployment.hasFreeSlot()) {
    const on = { kind: "concurrency", deployment: deployment.id } as const;
    return { kind: "blocked", on, at: Number.POSITIVE_INFINITY, forAll: true };
  }
  let latest: { quota: Quota; at: number } | undefined;
  /** Before this time not even the smallest job would be admitted. */
  let closedUntil = now;
  let parked = false;
  for (const quota of deployment.quotas) {
    const cost = costOn(quota, deployment, job.tokens);
    parked ||= quota.parkedUntil(cost, now) !== undefined;
    const at = quota.admits(cost, now) ? quota.givesWayUntil(cost, now, job.jobId) : quota.earliest(cost, now);
    if (at === undefined) continue;
    if (!latest || at > latest.at) latest = { quota, at };
    closedUntil = Math.max(closedUntil, quota.earliest(Math.min(1, cost), now));
  }
  if (!latest) return undefined;
  const on = { kind: "quota", deployment: deployment.id, quota: latest.quota.config.name } as const;
  return { kind: "blocked", on, at: latest.at, forAll: closedUntil >= latest.at, parked };
}

/** Returns what would be left of the fullest quota, in thousandths of its limit. Concurrency counts as a quota. */
function headroomOf(job: Applicant, deployment: Deployment, now: number): number {
  const lefts = deployment.quotas.map((quota) => {
    const left = quota.effectiveLimit - quota.used(now) - costOn(quota, deployment, job.tokens);
    return Math.floor((left * 1000) / quota.effectiveLimit);
  });
  const { maxConcurrency } = deployment.config;
  lefts.push(Math.floor(((maxConcurrency - deployment.running) * 1000) / maxConcurrency));
  return Math.min(...lefts);
}
