// Reports what waits: rows by environment, priority and model, and when the queue of each model will be empty.
//
// Looks at the heads of the queues, never at every job. Tokens per job are averages over some heads of each queue.
import { earliestStart } from "../admission.ts";
import { byModel, byRow } from "../report-order.ts";
import type { ModelBacklog, WaitingOn, WaitingRow } from "../scheduler.ts";
import { comesBefore, type SortedQueue } from "../sorted-queue.ts";
import { type Load, type Situation, startsIn, waitingOnOf } from "./estimates.ts";
import type { Entry } from "./queue-items.ts";
import type { WaitingJobs } from "./waiting-jobs.ts";

/** Heads of one queue, and of all queues together, that tokens are averaged over. */
const headsOfEach = 64;
const headsInAll = 256;

/** Kinds of waiting whose end does not depend on quotas. */
const unpredictable: ReadonlySet<WaitingOn["kind"]> = new Set(["paused", "concurrency", "rebuild"]);

interface Row extends WaitingRow {
  oldest?: Entry;
}

/** Returns what a job's situation is now. */
type SituationOf = (entry: Entry) => Situation;

export function reportWaiting(
  jobs: WaitingJobs,
  situationOf: SituationOf,
): { waiting: WaitingRow[]; backlogs: ModelBacklog[] } {
  const loads = loadsByModel(jobs);
  const oldest = new Map<string, { entry: Entry; on: WaitingOn }>();
  const waiting = rowsOf(jobs).map(({ oldest: entry, ...row }) => {
    if (!entry) return row;
    const on = waitingOnOf(entry, situationOf(entry), 1);
    const other = oldest.get(row.model)?.entry;
    if (!other || comesBefore(entry, other)) oldest.set(row.model, { entry, on });
    return { ...row, oldestOrder: entry.order, waitingOn: on };
  });
  const backlogs = [...oldest].map(([model, { entry, on }]) => {
    const emptyInMs = unpredictable.has(on.kind) ? undefined : emptyIn(entry, situationOf(entry), loads.get(model)!);
    return { model, ...(emptyInMs !== undefined && { emptyInMs }) };
  });
  return { waiting: waiting.sort(byRow), backlogs: backlogs.sort(byModel) };
}

function rowsOf({ queue, delayed, booked, routes }: WaitingJobs): Row[] {
  const rows = new Map<string, Row>();
  const rowOf = ({ environment, priority, route }: Pick<Entry, "environment" | "priority" | "route">): Row => {
    const model = routes.get(route).models[0]!;
    const key = `${environment}\n${priority}\n${model}`;
    const row = rows.get(key) ?? { environment, priority, model, ready: 0, delayed: 0 };
    rows.set(key, row);
    return row;
  };
  const addReady = (head: Entry, count: number) => {
    const row = rowOf(head);
    row.ready += count;
    if (!row.oldest || comesBefore(head, row.oldest)) row.oldest = head;
  };
  for (const flow of queue.flows()) for (const own of flow.queues.values()) addReady(own.peek()!, own.size);
  for (const route of booked) addReady(route.booked!, 1);
  for (const count of delayed.counts()) rowOf(count).delayed += count.jobs;
  return [...rows.values()];
}

/** Returns the ready jobs of each model and their tokens. */
function loadsByModel({ queue, booked, routes }: WaitingJobs): Map<string, Load> {
  const queues = new Map<string, SortedQueue<Entry>[]>();
  for (const flow of queue.flows()) {
    for (const [route, own] of flow.queues) {
      const others = queues.get(route);
      if (others) others.push(own);
      else queues.set(route, [own]);
    }
  }
  const loads = new Map<string, Load>();
  const add = (model: string, jobs: number, heads: readonly Entry[]) => {
    const load = loads.get(model) ?? { jobs: 0, input: 0, output: 0 };
    const total = (kind: "input" | "output") => heads.reduce((sum, { tokens }) => sum + tokens[kind], 0);
    load.jobs += jobs;
    // Whole numbers, so that the order of summing changes nothing.
    load.input += Math.ceil((jobs * total("input")) / heads.length);
    load.output += Math.ceil((jobs * total("output")) / heads.length);
    loads.set(model, load);
  };
  const ofRoute = Math.floor(headsInAll / queues.size);
  for (const [key, list] of queues) {
    const model = routes.get(key).models[0]!;
    const sample = Math.max(1, Math.min(headsOfEach, Math.floor(ofRoute / list.length)));
    for (const own of list) add(model, own.size, own.first(sample));
  }
  for (const route of booked) add(route.models[0]!, 1, [route.booked!]);
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
