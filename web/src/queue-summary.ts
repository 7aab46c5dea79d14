// The state of the queue in one sentence: what waits, when the next job starts, when the queue is empty, what limits it,
// and what the operator can press. Pure.
import { count, number, relative, unitOf } from "./format.ts";
import type { Snapshot, Stats, WaitingRow } from "./resources.ts";

/** A part of a sentence: words, a deployment's id, or a time. The page shows ids and times as it does everywhere. */
export type Piece = string | { deployment: string } | { at: string };

export interface QueueSummary {
  sentence: Piece[];
  /** What the operator can do. Undefined if there is nothing to do. */
  advice?: {
    text: string;
    page?: "deployments";
    /** Whether it is to press a button, which a read-only key does not have. */
    isButton?: true;
  };
}

type Kind = NonNullable<WaitingRow["waiting_on"]>["kind"];

/** Ready jobs that wait for the same. */
interface Reason {
  kind: Kind;
  deployment: string | null;
  quota: string | null;
  reason: string | null;
  jobs: number;
  environments: Set<string>;
}

/** Jobs that could start but do not for this long have no worker, in milliseconds. */
const idleMs = 10_000;
/** Reasons that the sentence names. The table below it has the others. */
const named = 2;
const hourMs = 3_600_000;

/** Returns whether most of what waits may start at any moment, so that only workers can hold it up. */
export function mayStart(stats: Stats): boolean {
  return reasonsOf(stats)[0]?.kind === "turn";
}

/**
 * Returns the summary of a snapshot.
 * @param now milliseconds since the epoch
 * @param startableMs for how long `mayStart` has been true, in milliseconds
 */
export function queueSummary(current: Snapshot & { stats: Stats }, now: number, startableMs: number): QueueSummary {
  const { stats } = current;
  const ready = sum(stats.queue, (row) => row.ready);
  const delayed = sum(stats.queue, (row) => row.delayed);
  const running = stats.running > 0 ? `, ${number(stats.running)} running` : "";
  if (!stats.scheduler.open) {
    const waiting = ready + delayed > 0 ? `; ${count(ready + delayed, "job")} so far` : "";
    return { sentence: [`The queue is being rebuilt from the store${waiting}.`] };
  }
  if (ready + delayed === 0) return { sentence: [`Nothing waits${running || ", none running"}.`] };

  const reasons = reasonsOf(stats);
  const isStuck = startableMs >= idleMs;
  const clauses: Piece[][] = [
    [`${count(ready + delayed, "job")} ${ready + delayed === 1 ? "waits" : "wait"}${running}`],
    // A pause may also hold up the delayed jobs.
    reasons[0]?.kind === "paused" || (isStuck && reasons[0]?.kind === "turn") ? [] : nextStart(stats, now),
    emptyAt(stats, now, delayed),
    limits(current, reasons, now, isStuck),
    delayed === 0 ? [] : [`${ready === 0 ? "all of them" : number(delayed)} wait for their start time or a retry`],
  ];
  const sentence = clauses
    .filter((clause) => clause.length > 0)
    .flatMap((clause, i) => (i > 0 ? ["; ", ...clause] : clause));
  const advice = adviceOn(current, reasons[0], isStuck);
  return { sentence: [...sentence, "."], ...(advice && { advice }) };
}

/** Returns the reasons of ready jobs, that of the most jobs first. What is paused comes last: it is not what limits the others. */
function reasonsOf({ queue }: Stats): Reason[] {
  const reasons = new Map<string, Reason>();
  for (const { environment, ready, waiting_on: on } of queue) {
    if (!on || ready === 0) continue;
    const { kind, deployment, quota, reason } = on;
    const key = [kind, deployment, quota, reason].join("\n");
    const known = reasons.get(key) ?? { kind, deployment, quota, reason, jobs: 0, environments: new Set() };
    reasons.set(key, known);
    known.jobs += ready;
    known.environments.add(environment);
  }
  const isPaused = ({ kind }: Reason) => Number(kind === "paused");
  return [...reasons.values()].sort((a, b) => isPaused(a) - isPaused(b) || b.jobs - a.jobs);
}

function nextStart({ queue, next_ready_at }: Stats, now: number): Piece[] {
  const starts = [...queue.map((row) => row.starts_at), next_ready_at].filter((at) => at !== null).sort();
  if (starts.length === 0) return [];
  const ms = Date.parse(starts[0]!) - now;
  if (ms < 1000) return ["the next starts now"];
  return ms < hourMs
    ? [`the next starts ${relative(new Date(starts[0]!), now)}`]
    : ["the next starts at ", { at: starts[0]! }];
}

function emptyAt({ models }: Stats, now: number, delayed: number): Piece[] {
  const ends = models.map(({ empty_at }) => empty_at);
  const last = ends.every((at) => at !== null) ? ends.sort().at(-1) : undefined;
  if (!last || Date.parse(last) - now < 2_000) return [];
  return [delayed > 0 ? "the ready ones have started by about " : "empty at about ", { at: last }];
}

function limits(current: Snapshot, reasons: readonly Reason[], now: number, isStuck: boolean): Piece[] {
  // What may start at any moment is not limited, unless no worker takes it.
  const limited = reasons.filter(({ kind }) => kind !== "turn" || isStuck);
  if (reasons.length === 1) return limited.flatMap((reason) => limit(current, reason, now));
  const shown = limited
    .slice(0, named)
    .flatMap((reason, i) => [
      ...(i > 0 ? [limited.length > named ? ", " : " and "] : []),
      ...limit(current, reason, now),
      ` (${count(reason.jobs, "job")})`,
    ]);
  const more = limited.length - named;
  return more > 0 ? [...shown, ` and ${count(more, "other reason")}`] : shown;
}

function limit({ quotas, deployments }: Snapshot, reason: Reason, now: number): Piece[] {
  const { kind, environments } = reason;
  const where: Piece = reason.deployment === null ? "a deployment" : { deployment: reason.deployment };
  switch (kind) {
    case "quota": {
      const quota = quotas.find(({ name }) => name === reason.quota);
      const opens = later(quota?.closed_until, now);
      const closed = opens ? `, which refused calls and opens ${opens}` : "";
      return ["limited by ", quota ? unitOf(quota) : `the quota ${reason.quota}`, " of ", where, closed];
    }
    case "concurrency":
      return ["limited by the number of calls at a time of ", where];
    case "cool_down":
    case "out_of_service": {
      const until = deployments.find(({ id }) => id === reason.deployment)?.until;
      const retry = later(until, now);
      const state = kind === "cool_down" ? " is cooling down" : " is out of service";
      return [where, state, retry ? ` and tried again ${retry}` : ""];
    }
    case "refused":
      return [where, " refused them and is tried again"];
    case "paused":
      // `reason` is a name such as `the model llama`. A deployment's name is for machines.
      return reason.deployment === null ? [`${reason.reason} is paused`] : [where, " is paused"];
    case "configuration":
      return ["no deployment of the configuration can serve them"];
    case "turn":
      return [`no worker takes jobs of ${[...environments].join(" and ")}`];
    default:
      return [];
  }
}

function adviceOn(
  { stats, quotas }: Snapshot & { stats: Stats },
  first: Reason | undefined,
  isStuck: boolean,
): QueueSummary["advice"] {
  switch (first?.kind) {
    case "quota":
      if (quotas.find(({ name }) => name === first.quota)?.per !== "day") return undefined;
      return { text: "The quota of the day is used up. See which quota to raise:", page: "deployments" };
    case "paused":
      return { text: "Nothing starts until you press Resume below.", isButton: true };
    case "out_of_service":
      return { text: "Mend the cause, then press Reinstate below.", isButton: true };
    case "cool_down":
      return { text: "It recovers by itself. To try it at once, press Reinstate below.", isButton: true };
    case "configuration":
      return { text: "Add a deployment to the configuration, or cancel the jobs. They fail in the end." };
    case "turn":
      if (!isStuck) return undefined;
      return stats.running === 0
        ? { text: "No worker runs, or none serves this environment. Start one with sluice worker." }
        : {
            text: "Every worker is busy, or none serves this environment. Start another, or raise worker.concurrency.",
          };
    default:
      return undefined;
  }
}

/** Returns how far ahead a time is, such as `in 4 s`. Undefined if it is past or unknown. */
function later(at: string | null | undefined, now: number): string | undefined {
  return at && Date.parse(at) > now ? relative(new Date(at), now) : undefined;
}

function sum<T>(items: readonly T[], amount: (item: T) => number): number {
  return items.reduce((total, item) => total + amount(item), 0);
}
