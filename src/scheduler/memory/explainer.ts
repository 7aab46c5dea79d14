// Estimates a waiting job's queue position, what it waits for, and when it will start.
//
// Models the fair queue as a fluid. When a job is next, its own flow has received the service queued before it. By then
// every other flow, priority and environment has received what its weight and its lead allow, but no more than it has
// waiting. The quotas of the deployments turn that sum into time. Costs per job are averages over the heads of each
// queue, taken at most once a second, so that calls do not slow the queue.
import { type Applicant, costOn, decide, earliestStart, fairCostOn, type Tier } from "../admission.ts";
import type { FairQueue, Flow, Share } from "../fair-queue.ts";
import { windowMs } from "../quota.ts";
import type { Explanation, PauseTarget, WaitingOn } from "../scheduler.ts";
import { mayBeAtFault } from "../suspicion.ts";
import type { Entry } from "./queue-items.ts";
import type { Route } from "./routes.ts";

const snapshotMs = 1_000;
/** Number of queue heads over which the cost per job is averaged. */
const sample = 64;

interface Backlog {
  flow: Flow<Entry>;
  jobs: number;
  /** Microseconds of quota time per job. */
  perJob: number;
}

interface View {
  now: number;
  open: boolean;
  /** The pause that applies to the owner's jobs, if any. */
  paused: PauseTarget | undefined;
  queue: FairQueue<Entry>;
  route: Route;
  applicant: Applicant;
  /** Number of jobs of the same cost that are assumed to be right before it. */
  more: number;
}

/** Work that goes before a job: jobs, and microseconds of quota time. */
interface Ahead {
  jobs: number;
  cost: number;
}

export class Explainer {
  #at = Number.NEGATIVE_INFINITY;
  #backlogs = new Map<string, Backlog[]>();

  explain(entry: Entry, view: View): Explanation {
    const { now, route } = view;
    const ahead = entry.state === "ready" ? this.#ahead(entry, view) : { jobs: 0, cost: 0 };
    const position = Math.max(1, Math.round(ahead.jobs) + 1);
    const waitingOn = waitingOnOf(entry, view, position);
    const startsInMs =
      waitingOn.kind === "paused" ? undefined : startsIn(entry, view.applicant, route.tiers, ahead, now);
    return {
      state: "waiting",
      position,
      waitingOn,
      ...(startsInMs !== undefined && { startsInMs }),
    };
  }

  #ahead(entry: Entry, view: View): Ahead {
    const { queue, route } = view;
    if (view.now - this.#at >= snapshotMs) {
      this.#at = view.now;
      this.#backlogs.clear();
    }
    let backlogs = this.#backlogs.get(route.key);
    if (!backlogs) {
      backlogs = backlogsOf(queue, route);
      this.#backlogs.set(route.key, backlogs);
    }
    const flow = queue.flowOf(entry);
    const perJob = backlogs.find((backlog) => backlog.flow === flow)?.perJob ?? ownCost(entry, route);
    const jobs = flow.queues.get(entry.route)?.rank(entry) ?? 0;
    const booked = route.booked ? 1 : 0;

    // From the leaf up: what the siblings at each level receive while this branch receives what precedes the job.
    const own = { jobs: jobs + view.more, cost: jobs * perJob + view.more * ownCost(entry, route) };
    const inPriority = withSiblings(
      queue,
      flow,
      own,
      backlogs,
      (backlog) => backlog.flow,
      (f) => f.parent === flow.parent,
    );
    const priority = flow.parent;
    const inEnvironment = withSiblings(
      queue,
      priority,
      inPriority,
      backlogs,
      (backlog) => backlog.flow.parent,
      (p) => p !== priority && p.parent === priority.parent,
    );
    const environment = priority.parent;
    const all = withSiblings(
      queue,
      environment,
      inEnvironment,
      backlogs,
      (backlog) => backlog.flow.parent.parent,
      (e) => e !== environment,
    );
    const bookedCost = route.booked ? ownCost(route.booked, route) : 0;
    return { jobs: all.jobs + booked, cost: all.cost + bookedCost };
  }
}

function ownCost(entry: Entry, route: Route): number {
  const deployment = route.tiers[0]?.deployments[0];
  return deployment ? fairCostOn(deployment, entry.tokens) : 0;
}

/** Adds what a branch's siblings receive while the branch receives `own`. */
function withSiblings<S extends Share>(
  queue: FairQueue<Entry>,
  branch: S,
  own: Ahead,
  backlogs: readonly Backlog[],
  branchOf: (backlog: Backlog) => S,
  isSibling: (other: S) => boolean,
): Ahead {
  const siblings = new Map<S, Ahead>();
  for (const backlog of backlogs) {
    const other = branchOf(backlog);
    if (other === branch || !isSibling(other)) continue;
    const sum = siblings.get(other) ?? { jobs: 0, cost: 0 };
    siblings.set(other, { jobs: sum.jobs + backlog.jobs, cost: sum.cost + backlog.jobs * backlog.perJob });
  }
  const reached = branch.virtualTime + own.cost / queue.weightOf(branch);
  const result = { ...own };
  for (const [other, waiting] of siblings) {
    const due = Math.max(0, (reached - other.virtualTime) * queue.weightOf(other));
    const cost = Math.min(waiting.cost, due);
    result.cost += cost;
    if (waiting.cost > 0) result.jobs += (waiting.jobs * cost) / waiting.cost;
  }
  return result;
}

function backlogsOf(queue: FairQueue<Entry>, route: Route): Backlog[] {
  const deployment = route.tiers[0]?.deployments[0];
  if (!deployment) return [];
  const backlogs: Backlog[] = [];
  for (const flow of queue.flows()) {
    const waiting = flow.queues.get(route.key);
    if (!waiting) continue;
    const heads = waiting.first(sample);
    const cost = heads.reduce((sum, head) => sum + fairCostOn(deployment, head.tokens), 0);
    backlogs.push({ flow, jobs: waiting.size, perJob: cost / Math.max(1, heads.length) });
  }
  return backlogs;
}

function waitingOnOf(entry: Entry, { open, paused, route, now, applicant }: View, position: number): WaitingOn {
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
 */
function startsIn(
  entry: Entry,
  applicant: Applicant,
  tiers: readonly Tier[],
  ahead: Ahead,
  now: number,
): number | undefined {
  const delay = entry.state === "delayed" ? Math.max(0, entry.readyAt - now) : 0;
  const first = earliestStart(applicant, tiers, now);
  if (!first) return undefined;
  const { deployments } = tiers.find((tier) => tier.deployments.includes(first.deployment))!;
  const inService = deployments.filter((deployment) => deployment.inService(now));
  // What precedes the job is spread over the deployments.
  const share = ahead.cost / inService.length;
  let latest = first.at;
  for (const quota of first.deployment.quotas) {
    const units = Math.round((share * quota.config.limit) / (windowMs(quota.config) * 1000));
    const own = costOn(quota, first.deployment, entry.tokens);
    latest = Math.max(latest, quota.freeAfter(units, own, now));
  }
  return Math.max(delay, latest - now);
}
