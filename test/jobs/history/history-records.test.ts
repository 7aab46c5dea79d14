// The history in the store: what is read is the same before and after every step of a summary, and its size is bounded.
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import {
  hourMs,
  minuteMs,
  readHours,
  readMinutes,
  startOf,
  storePart,
  summarizeHistory,
} from "../../../src/jobs/history/history-records.ts";
import { type Period, PeriodSum } from "../../../src/jobs/history/period.ts";
import { openTestStore, type TestStore } from "../../support/jobs-context.ts";

let shared: TestStore;
beforeAll(async () => {
  shared = await openTestStore();
});
afterAll(() => shared?.close());

const place = { collection: "history" } as const;
const start = Date.UTC(2030, 0, 31);

beforeEach(async () => {
  const { records } = shared.store;
  for (;;) {
    const { items } = await records.list(place, { limit: 1000 });
    if (items.length === 0) return;
    await records.remove(
      place,
      items.map(({ id }) => id),
    );
  }
});

/** Number of records by kind. */
async function kinds(): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const id of await ids()) {
    const kind = id.slice(0, id.indexOf("/"));
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

const ids = async () => (await shared.store.records.list(place, { limit: 1000 })).items.map(({ id }) => id);

function partOf(requests: number): Period {
  const sum = new PeriodSum();
  sum.countSample();
  sum.quota("q").requests = requests;
  return sum.period;
}

async function store(at: number, process: string, requests = 1): Promise<void> {
  await storePart(shared.store, { at, period: partOf(requests) }, process);
}

/** Start and requests of each period. */
async function minutes(from: number, to: number) {
  const found = await readMinutes(shared.store, from, to);
  return found.map(({ at, period }) => [at - from, period.quotas[0]!.requests]);
}
async function hours(from: number, to: number) {
  const found = await readHours(shared.store, from, to);
  return found.map(({ at, period }) => [at - from, period.minutes, period.quotas[0]!.requests]);
}

test("the parts of all processes are one minute, and a repeated write counts once", async () => {
  await store(start, "a", 1);
  await store(start, "a", 1);
  await store(start, "b", 2);
  await store(start + minuteMs, "a", 4);
  expect(await minutes(start, start + hourMs)).toEqual([
    [0, 3],
    [minuteMs, 4],
  ]);
  expect(await minutes(start + minuteMs, start + hourMs)).toEqual([[0, 4]]);
  expect(await minutes(start, start + minuteMs)).toEqual([[0, 3]]);
  expect(await hours(start, start + hourMs)).toEqual([[0, 2, 7]]);
});

test("summaries change nothing of what is read, and a late part is not counted", async () => {
  for (let minute = 0; minute < 90; minute++) {
    await store(start + minute * minuteMs, "a", 1);
    if (minute % 2 === 0) await store(start + minute * minuteMs, "b", 10);
  }
  const end = start + 2 * hourMs;
  const [before, hoursBefore] = [await minutes(start, end), await hours(start, end)];
  expect(hoursBefore).toEqual([
    [0, 60, 360],
    [hourMs, 30, 180],
  ]);

  await summarizeHistory(shared.store, start + 90 * minuteMs);
  // The parts of the last 30 minutes remain: 30 of one process, 15 of the other.
  expect(await kinds()).toEqual({ hour: 1, minute: 60, part: 45 });
  expect([await minutes(start, end), await hours(start, end)]).toEqual([before, hoursBefore]);
  await store(start, "late", 1000);
  expect([await minutes(start, end), await hours(start, end)]).toEqual([before, hoursBefore]);

  await summarizeHistory(shared.store, start + 26 * hourMs);
  expect(await kinds()).toEqual({ hour: 2, minute: 90 });
  expect([await minutes(start, end), await hours(start, end)]).toEqual([before, hoursBefore]);
  await summarizeHistory(shared.store, start + 27 * hourMs + 1);
  expect(await kinds()).toEqual({ hour: 2 });
  expect(await hours(start, end)).toEqual(hoursBefore);

  await store(start, "later", 1000);
  expect(await hours(start, end)).toEqual(hoursBefore);
  for (const hour of [28, 29]) await summarizeHistory(shared.store, start + hour * hourMs);
  expect(await kinds()).toEqual({ hour: 2 });
  expect(await hours(start, end)).toEqual(hoursBefore);
});

test("minutes of a service that did not run for days are added up before they are removed", async () => {
  await store(start, "a", 1);
  await summarizeHistory(shared.store, start + 40 * minuteMs);
  expect(await kinds()).toEqual({ minute: 1 });
  const later = start + 100 * hourMs;
  await store(later, "a", 2);
  await summarizeHistory(shared.store, later);
  expect(await kinds()).toEqual({ hour: 1, minute: 1, part: 1 });
  await summarizeHistory(shared.store, later);
  expect(await kinds()).toEqual({ hour: 1, part: 1 });
  expect(await hours(start, later + hourMs)).toEqual([
    [0, 1, 1],
    [100 * hourMs, 1, 2],
  ]);
});

test("a process that is killed after a summary, before it has removed the parts, changes nothing", async () => {
  await store(start, "a", 1);
  await store(start, "b", 2);
  const { records } = shared.store;
  const killed = { records: { ...methodsOf(records), remove: () => Promise.reject(new Error("killed")) } };
  await expect(summarizeHistory(killed as never, start + hourMs)).rejects.toThrow("killed");
  expect(await ids()).toHaveLength(3);
  expect(await minutes(start, start + hourMs)).toEqual([[0, 3]]);

  // Half of the parts are gone when the next process sums them up.
  await records.remove(
    place,
    (await ids()).filter((id) => id.endsWith(".a")),
  );
  expect(await minutes(start, start + hourMs)).toEqual([[0, 3]]);
  await Promise.all([1, 2].map(() => summarizeHistory(shared.store, start + hourMs)));
  expect(await ids()).toHaveLength(1);
  expect(await minutes(start, start + hourMs)).toEqual([[0, 3]]);
});

test("30 days of hours are kept, and a clock that is years ahead for a while removes one for each that it adds", async () => {
  const { records } = shared.store;
  const hourAt = (i: number) => ({ id: `hour/${String(start + i * hourMs).padStart(16, "0")}`, value: partOf(i) });
  await records.insert(
    place,
    Array.from({ length: 725 }, (_, i) => ({ ...hourAt(i), order: hourAt(i).id })),
  );
  await summarizeHistory(shared.store, start + 725 * hourMs);
  expect(await hours(start, start + 1000 * hourMs)).toHaveLength(720);

  const ahead = startOf(start + 10 * 365 * 24 * hourMs, minuteMs);
  await store(ahead, "a");
  await summarizeHistory(shared.store, ahead + 48 * hourMs);
  expect(await hours(start, start + 1000 * hourMs)).toHaveLength(719);
});

/** A class's methods, bound to its object, as own properties. */
function methodsOf<T extends object>(object: T): T {
  const names = Object.getOwnPropertyNames(Object.getPrototypeOf(object)).filter((name) => name !== "constructor");
  return (
    Object.fromEntries(names.map((name) => [name, (object as never)[name] as unknown])) &&
    (Object.fromEntries(
      names.map((name) => [name, ((object as never)[name] as (...args: unknown[]) => unknown).bind(object)]),
    ) as T)
  );
}
