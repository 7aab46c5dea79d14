// Reports what waits: rows by environment, priority and model, and when the queue of each model will be empty.
//
// Looks at the heads of the queues, never at every job: 20,000 queues take 1 ms. Tokens per job are averages over some heads of each queue.
import type { Priority } from "../../domain/job.ts";
import { earliestStart } from "../admission.ts";
import type { FairQueue } from "../fair-queue.ts";
import type { Pauses } from "../pause-scopes.ts";
import { byModel, byRow } from "../report-order.ts";
import type { SchedulerSnapshot, WaitingOn, WaitingRow } from "../scheduler.ts";
import { comesBefore, type SortedQueue } from "../sorted-queue.ts";
import { type Load, type Situation, startsIn, waitingOnOf } from "./estimates.ts";
import type { Entry } from "./queue-items.ts";
import type { WaitingJobs } from "./waiting-jobs.ts";

/** Heads of one queue, and of all queues together, that tokens are averaged over. */
const headsOfEach = 64;
const headsInAll = 256;
/** Queues of an environment, priority and route that tokens are averaged over. */
const queuesAtLeast = 4;
const queuesOfEach = 100;

/** Kinds of waiting whose end does not depend on quotas. */
const unpredictable: ReadonlySet<WaitingOn["kind"]> = new Set(["paused", "concurrency", "rebuild"]);

const nothing: Load = { jobs: 0, input: 0, output: 0 };

interface Row extends WaitingRow {
  oldest?: Entry;
  /** Whether a tenant with ready jobs is paused. */
  hasPaused: boolean;
}

/** Returns what a job's situation is now. */
type SituationOf = (entry: Entry) => Situation;

/** Returns what waits. One paused tenant says nothing about the jobs of others. */
export function reportWaiting(
  jobs: WaitingJobs,
  pauses: Pauses,
  now: number,
  situationOf: SituationOf,
): Pick<SchedulerSnapshot, "waiting" | "backlogs" | "nextReadyInMs"> {
  const isPaused = (entry: Entry) => pauses.ofOwner(entry) !== undefined;
  const saysMore: SaysMore = (a, b) => {
    const paused = isPaused(a);
    return paused === isPaused(b) ? comesBefore(a, b) : !paused;
  };
  const groups = groupsOf(jobs.queue, saysMore, isPaused);
  const loads = loadsByModel(jobs, groups);
  const oldest = new Map<string, { entry: Entry; on: WaitingOn }>();
  const blocked = new Set<string>();
  const waiting = rowsOf(jobs, groups, saysMore, isPaused).map(({ oldest: entry, hasPaused, ...row }) => {
    if (!entry) return row;
    const situation = situationOf(entry);
    const on = waitingOnOf(entry, situation, 1);
    const other = oldest.get(row.model)?.entry;
    if (!other || saysMore(entry, other)) oldest.set(row.model, { entry, on });
    if (hasPaused) blocked.add(row.model);
    const startsInMs = unpredictable.has(on.kind) ? undefined : startsIn(entry, situation, nothing);
    return { ...row, oldestOrder: entry.order, waitingOn: on, ...(startsInMs !== undefined && { startsInMs }) };
  });
  const backlogs = [...oldest].map(([model, { entry, on }]) => {
    const isUnknown = blocked.has(model) || unpredictable.has(on.kind);
    const emptyInMs = isUnknown ? undefined : emptyIn(entry, situationOf(entry), loads.get(model)!);
    return { model, ...(emptyInMs !== undefined && { emptyInMs }) };
  });
  return {
    waiting: waiting.sort(byRow),
    backlogs: backlogs.sort(byModel),
    ...(Number.isFinite(jobs.nextReadyAt) && { nextReadyInMs: Math.max(0, jobs.nextReadyAt - now) }),
  };
}

/** Returns whether a job says more about its row than another: the oldest, but not one of a paused tenant. */
type SaysMore = (entry: Entry, other: Entry) => boolean;

/** The ready jobs of one environment, priority and route. */
interface Group {
  environment: string;
  priority: Priority;
  route: string;
  jobs: number;
  oldest: Entry;
  hasPaused: boolean;
  /** Some of the queues, from which the tokens of all jobs are estimated. */
  sampled: SortedQueue<Entry>[];
}

function groupsOf(queue: FairQueue<Entry>, saysMore: SaysMore, isPaused: (entry: Entry) => boolean): Group[] {
  const all = [...queue.groups()];
  const limit = Math.max(queuesAtLeast, Math.min(queuesOfEach, Math.floor(headsInAll / all.length)));
  return all.map(({ flows, ...group }) => {
    const own = flows.map((flow) => flow.queues.get(group.route)!);
    let jobs = 0;
    let oldest = own[0]!.peek()!;
    let hasPaused = false;
    for (const each of own) {
      jobs += each.size;
      const head = each.peek()!;
      hasPaused ||= isPaused(head);
      if (saysMore(head, oldest)) oldest = head;
    }
    return { ...group, jobs, oldest, hasPaused, sampled: own.slice(0, limit) };
  });
}

function rowsOf(
  { delayed, booked, routes }: WaitingJobs,
  groups: readonly Group[],
  saysMore: SaysMore,
  isPaused: (entry: Entry) => boolean,
): Row[] {
  const rows = new Map<string, Row>();
  const rowOf = ({ environment, priority, route }: Pick<Entry, "environment" | "priority" | "route">): Row => {
    const model = routes.get(route).models[0]!;
    const key = `${environment}\n${priority}\n${model}`;
    const row = rows.get(key) ?? { environment, priority, model, ready: 0, delayed: 0, hasPaused: false };
    rows.set(key, row);
    return row;
  };
  const addReady = (row: Row, jobs: number, oldest: Entry, hasPaused: boolean) => {
    row.ready += jobs;
    row.hasPaused ||= hasPaused;
    if (!row.oldest || saysMore(oldest, row.oldest)) row.oldest = oldest;
  };
  for (const group of groups) addReady(rowOf(group), group.jobs, group.oldest, group.hasPaused);
  for (const { booked: entry } of booked) addReady(rowOf(entry!), 1, entry!, isPaused(entry!));
  for (const count of delayed.counts()) rowOf(count).delayed += count.jobs;
  return [...rows.values()];
}

/** Returns the ready jobs of each model and their tokens. */
function loadsByModel({ booked, routes }: WaitingJobs, groups: readonly Group[]): Map<string, Load> {
  const queuesIn = new Map<string, number>();
  for (const { route, sampled } of groups) queuesIn.set(route, (queuesIn.get(route) ?? 0) + sampled.length);
  const loads = new Map<string, Load>();
  const add = (model: string, jobs: number, input: number, output: number) => {
    const load = loads.get(model) ?? { jobs: 0, input: 0, output: 0 };
    loads.set(model, {
      jobs: load.jobs + jobs,
      input: load.input + Math.ceil(input),
      output: load.output + Math.ceil(output),
    });
  };
  for (const { route, jobs, sampled } of groups) {
    const sample = Math.floor(Math.floor(headsInAll / queuesIn.size) / queuesIn.get(route)!);
    let [seen, input, output] = [0, 0, 0];
    for (const queue of sampled) {
      const heads = queue.first(Math.max(1, Math.min(headsOfEach, sample)));
      const total = (kind: "input" | "output") => heads.reduce((sum, { tokens }) => sum + tokens[kind], 0);
      seen += queue.size;
      // Whole numbers, so that the order of summing changes nothing.
      input += Math.ceil((queue.size * total("input")) / heads.length);
      output += Math.ceil((queue.size * total("output")) / heads.length);
    }
    // Queues that were not looked at count like the others.
    const factor = jobs / seen;
    add(routes.get(route).models[0]!, jobs, input * factor, output * factor);
  }
  for (const { models, booked: entry } of booked) add(models[0]!, 1, entry!.tokens.input, entry!.tokens.output);
  return loads;
}

/** Returns the time until a model's ready jobs, of which one is given, have started. Undefined if unknown. */
function emptyIn(entry: Entry, situation: Situation, load: Load): number | undefined {
  const { applicant, route, now } = situation;
  const hasQuotas = earliestStart(applicant, route.tiers, now)?.deployment.quotas.length;
  if (!hasQuotas) return undefined;
  const { input, output } = entry.tokens;
  const ahead = {
    jobs: load.jobs - 1,
    input: Math.max(0, load.input - input),
    output: Math.max(0, load.output - output),
  };
  return startsIn(entry, situation, ahead);
}
