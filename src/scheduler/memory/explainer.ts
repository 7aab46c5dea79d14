// Estimates a waiting job's queue position, what it waits for, and when it will start.
//
// Models the fair queue as a fluid. When a job is next, its own flow has received the service queued before it. By then
// every other flow, priority and environment has received what its weight and its lead allow, but no more than it has
// waiting. The quotas of the deployments turn that sum into time. Costs per job are averages over the heads of each
// queue, taken at most once a second, so that calls do not slow the queue.
import { fairCostOn } from "../admission.ts";
import type { FairQueue, Flow, Share } from "../fair-queue.ts";
import type { Explanation } from "../scheduler.ts";
import { type Load, type Situation, startsIn, waitingOnOf } from "./estimates.ts";
import type { Entry } from "./queue-items.ts";
import type { Route } from "./routes.ts";

const snapshotMs = 1_000;
/** Number of queue heads over which the cost per job is averaged. */
const sample = 64;

interface Backlog {
  flow: Flow<Entry>;
  jobs: number;
  /** Average of its jobs. */
  perJob: Work;
}

interface View extends Situation {
  queue: FairQueue<Entry>;
  /** Number of jobs of the same cost that are assumed to be right before it. */
  more: number;
}

interface Work extends Load {
  /** Microseconds of quota time. */
  cost: number;
}

export class Explainer {
  #at = Number.NEGATIVE_INFINITY;
  #backlogs = new Map<string, Backlog[]>();

  explain(entry: Entry, view: View): Explanation {
    const ahead = entry.state === "ready" ? this.#ahead(entry, view) : nothing;
    const position = Math.max(1, Math.round(ahead.jobs) + 1);
    const waitingOn = waitingOnOf(entry, view, position);
    const startsInMs = waitingOn.kind === "paused" ? undefined : startsIn(entry, view, ahead);
    return {
      state: "waiting",
      position,
      waitingOn,
      ...(startsInMs !== undefined && { startsInMs }),
    };
  }

  #ahead(entry: Entry, view: View): Work {
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
    const self = workOf(entry, route);
    const perJob = backlogs.find((backlog) => backlog.flow === flow)?.perJob ?? self;
    const jobs = flow.queues.get(entry.route)?.rank(entry) ?? 0;

    // From the leaf up: what the siblings at each level receive while this branch receives what precedes the job.
    const own = sum(times(perJob, jobs), times(self, view.more));
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
    return route.booked ? sum(all, workOf(route.booked, route)) : all;
  }
}

const nothing: Work = { jobs: 0, input: 0, output: 0, cost: 0 };

function workOf({ tokens: { input, output } }: Entry, { tiers }: Route): Work {
  const deployment = tiers[0]?.deployments[0];
  return { jobs: 1, input, output, cost: deployment ? fairCostOn(deployment, { input, output }) : 0 };
}

function sum(a: Work, b: Work): Work {
  return { jobs: a.jobs + b.jobs, input: a.input + b.input, output: a.output + b.output, cost: a.cost + b.cost };
}

function times(work: Work, factor: number): Work {
  const { jobs, input, output, cost } = work;
  return { jobs: jobs * factor, input: input * factor, output: output * factor, cost: cost * factor };
}

/** Adds what a branch's siblings receive while the branch receives `own`. */
function withSiblings<S extends Share>(
  queue: FairQueue<Entry>,
  branch: S,
  own: Work,
  backlogs: readonly Backlog[],
  branchOf: (backlog: Backlog) => S,
  isSibling: (other: S) => boolean,
): Work {
  const siblings = new Map<S, Work>();
  for (const backlog of backlogs) {
    const other = branchOf(backlog);
    if (other === branch || !isSibling(other)) continue;
    siblings.set(other, sum(siblings.get(other) ?? nothing, times(backlog.perJob, backlog.jobs)));
  }
  const reached = branch.virtualTime + own.cost / queue.weightOf(branch);
  let result = own;
  for (const [other, waiting] of siblings) {
    const due = Math.max(0, (reached - other.virtualTime) * queue.weightOf(other));
    if (waiting.cost > 0) result = sum(result, times(waiting, Math.min(1, due / waiting.cost)));
  }
  return result;
}

function backlogsOf(queue: FairQueue<Entry>, route: Route): Backlog[] {
  if (route.tiers.length === 0) return [];
  const backlogs: Backlog[] = [];
  for (const flow of queue.flows()) {
    const waiting = flow.queues.get(route.key);
    if (!waiting) continue;
    const heads = waiting.first(sample);
    const all = heads.reduce((total, head) => sum(total, workOf(head, route)), nothing);
    backlogs.push({ flow, jobs: waiting.size, perJob: times(all, 1 / Math.max(1, heads.length)) });
  }
  return backlogs;
}
