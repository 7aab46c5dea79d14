// Stores the history and reads it. Each process inserts a part for each minute. Once a minute is surely over, its parts
// become one record, and so do the minutes of an hour. Parts are removed at once, minutes after a day. So the history has
// a bounded size, and is the same from every process.
//
// Each summary is decided by an insert, and the first one wins. What it sums up is removed afterwards, and ignored from
// the insert on. So processes may summarize at the same time, and a crash in between changes nothing. Readers read parts
// before minutes, and see every minute once.
import { serviceCollection, timeKey } from "../../store/collection.ts";
import type { JobStore } from "../../store/job-store.ts";
import { minuteOf, type Period, sumOf, withoutZeros } from "./period.ts";

export const minuteMs = 60_000;
export const hourMs = 60 * minuteMs;

/** Age at which the parts of a minute are added up, in milliseconds. A part that is stored later is not counted. */
const partsKeptMs = 30 * minuteMs;
/** Age at which minutes are removed, in milliseconds: a day, and room for a chart that starts earlier. */
const minutesKeptMs = 25 * hourMs;
/** Number of hours that are kept, those of the last 30 days if the service always ran. */
const hoursKept = 30 * 24;
/** Records that the store lists or removes at once. */
const pageSize = 1000;

const parts = serviceCollection<Period>({ stored: "history", id: "part/*", order: "part/" });
const minutes = serviceCollection<Period>({ stored: "history", id: "minute/*", order: "minute/" });
const hours = serviceCollection<Period>({ stored: "history", id: "hour/*", order: "hour/" });

type Store = Pick<JobStore, "records">;

/** A period and its start, in milliseconds since the epoch. */
export interface TimedPeriod {
  at: number;
  period: Period;
}

/**
 * Stores what a process recorded in one minute. May be repeated.
 * @param id unique among all parts of all processes
 */
export async function storePart(store: Store, { at, period }: TimedPeriod, id: string): Promise<void> {
  await parts(store).insert({ id: `${timeKey(at)}.${id}`, value: withoutZeros(period) });
}

// ---------------------------------------------------------------- reading

/**
 * Returns the minutes from `from` to before `to` that have records, in order. Minutes older than a day are gone.
 * @param from the start of a minute, in milliseconds since the epoch; likewise `to`
 */
export async function readMinutes(store: Store, from: number, to: number): Promise<TimedPeriod[]> {
  const range = between(from, to);
  const partsByMinute = groupBy(await collect(parts(store).all(range, pageSize)), timeOf);
  const summed = await collect(minutes(store).all(range, pageSize));
  const found = new Map([...partsByMinute].map(([at, items]) => [at, minuteOf(items.map(({ value }) => value))]));
  for (const item of summed) found.set(timeOf(item), sumOf([item.value]));
  return inOrder(found);
}

/**
 * Returns the hours from `from` to before `to` that have records, in order.
 * @param from the start of an hour, in milliseconds since the epoch; likewise `to`
 */
export async function readHours(store: Store, from: number, to: number): Promise<TimedPeriod[]> {
  const summed = await collect(hours(store).all(between(from, to), pageSize));
  const found = new Map(summed.map((item) => [timeOf(item), sumOf([item.value])]));
  // Hours are summed up in order.
  const last = summed.at(-1);
  const rest = last ? timeOf(last) + hourMs : from;
  for (const [at, items] of groupBy(await readMinutes(store, rest, to), (minute) => startOf(minute.at, hourMs))) {
    found.set(at, sumOf(items.map(({ period }) => period)));
  }
  return inOrder(found);
}

// ---------------------------------------------------------------- summaries

/**
 * Adds up old parts and old minutes, and removes the oldest hours.
 * @param now milliseconds since the epoch
 */
export async function summarizeHistory(store: Store, now: number): Promise<void> {
  for (;;) {
    const [first] = await parts(store).list(1, { before: timeKey(startOf(now - partsKeptMs, minuteMs)) });
    if (!first) break;
    const at = timeOf(first);
    const items = await collect(parts(store).all(between(at, at + minuteMs), pageSize));
    await minutes(store).insert({ id: timeKey(at), value: withoutZeros(minuteOf(items.map(({ value }) => value))) });
    await removeAll(parts(store), items);
  }
  await summarizeMinutes(store, now);
  // By number and not by age, so that a wrong clock removes only what it added itself.
  let isKept = true;
  for await (const page of hours(store).pages({ descending: true }, hoursKept)) {
    if (!isKept) await removeAll(hours(store), page);
    isKept = false;
  }
}

/** Adds up the minutes of each hour whose parts are added up. Removes old minutes that an earlier call has added up. */
async function summarizeMinutes(store: Store, now: number): Promise<void> {
  const end = startOf(now - partsKeptMs, hourMs);
  let [first] = await minutes(store).list(1, { before: timeKey(end) });
  while (first) {
    const at = startOf(timeOf(first), hourMs);
    const id = timeKey(at);
    const items = () => collect(minutes(store).all(between(at, at + hourMs), pageSize));
    // Removed in a later call, so that a reader that found no hour still finds its minutes.
    if ((await hours(store).get(id)) === undefined) {
      await hours(store).insert({ id, value: withoutZeros(sumOf((await items()).map(({ value }) => value))) });
    } else if (at < now - minutesKeptMs - hourMs) await removeAll(minutes(store), await items());
    [first] = await minutes(store).list(1, between(at + hourMs, end));
  }
}

type Records = ReturnType<typeof parts>;

async function removeAll(from: Records, items: readonly { id: string }[]): Promise<void> {
  for (let i = 0; i < items.length; i += pageSize) {
    await from.remove(...items.slice(i, i + pageSize).map(({ id }) => id));
  }
}

// ---------------------------------------------------------------- times

/** Returns the start of the period of `lengthMs` that a time is in. */
export function startOf(at: number, lengthMs: number): number {
  return Math.floor(at / lengthMs) * lengthMs;
}

/** A range of ids that begin with a time. */
function between(from: number, to: number) {
  return { after: timeKey(from - 1), before: timeKey(to) };
}

function timeOf({ id }: { id: string }): number {
  return Number.parseInt(id, 10);
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => number): Map<number, T[]> {
  const groups = new Map<number, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return groups;
}

function inOrder(found: ReadonlyMap<number, Period>): TimedPeriod[] {
  return [...found].map(([at, period]) => ({ at, period })).sort((a, b) => a.at - b.at);
}
