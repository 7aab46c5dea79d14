// What was used: tokens, calls and dollars by day, key, environment, model and tenant.
//
// Nothing is counted while jobs run. The sums are made of the attempts on record, each of which has one end at most, so
// a call counts once whatever is repeated, and a crash leaves no gap. A call belongs to the UTC day on which it was
// charged. The sums of a day that is over are kept once nothing of it can change any more: as a record in `usage`, and
// those of the hours of younger days in memory.
import { SluiceError } from "../domain/errors.ts";
import { addUsage, noUsage, type UsageRow, type UsageSums } from "../domain/usage.ts";
import type { RecordPlace } from "../store/record-store.ts";
import { type Caller, tenantFor } from "./caller.ts";
import type { JobsContext } from "./context.ts";

export const usageGroups = ["day", "key", "environment", "model", "tenant"] as const;
export type UsageGroup = (typeof usageGroups)[number];

export interface UsageRequest {
  /** UTC days such as `2030-01-31`; both are included. */
  from: string;
  to: string;
  /** Sums of what; none: one sum of all. */
  groupBy: readonly UsageGroup[];
  /** Only this one; absent means all that the caller may see. */
  environment?: string;
  tenant?: string;
  model?: string;
}

export interface UsageGroupSums extends UsageSums {
  /** What the sum is of; null for a key where there was none. Only what was asked for. */
  by: Partial<Record<UsageGroup, string | null>>;
}

type Context = Pick<JobsContext, "settings" | "store" | "clock">;

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const maxDays = 366;
const maxGroups = 10_000;
/** An attempt may be written a little after it was charged. */
const settlesMs = hourMs;
/** When a day is over for good, even if nobody knows how one of its calls ended: no job lives longer. */
const closesMs = 15 * dayMs;
/** Records that are read at a time. */
const recordsAtOnce = 500;

export class UsageReader {
  readonly #context: Context;
  /** By environment and hour; of hours of which nothing is open. */
  readonly #hours = new Map<string, UsageRow[]>();

  constructor(context: Context) {
    this.#context = context;
  }

  /**
   * Sums in the order of what they are of.
   * @throws SluiceError `invalid_request` (the range, or too many groups)
   */
  async read(request: UsageRequest, caller: Caller): Promise<UsageGroupSums[]> {
    const { groupBy, model } = request;
    const tenant = tenantFor(caller, request.tenant);
    if (tenant === null) return [];
    const days = daysOf(request);
    const groups = new Map<string, UsageGroupSums>();
    for (const environment of this.#environments(request, caller)) {
      for await (const [day, rows] of this.#daysOf(environment, days)) {
        for (const row of rows) {
          if (tenant !== undefined && row.tenant !== tenant) continue;
          if (model !== undefined && row.model !== model) continue;
          const all = { day, key: row.keyId ?? null, environment, model: row.model, tenant: row.tenant };
          const by = Object.fromEntries(groupBy.map((group) => [group, all[group]]));
          const key = JSON.stringify(groupBy.map((group) => all[group]));
          const sums = groups.get(key) ?? { by, ...noUsage };
          addUsage(sums, row);
          groups.set(key, sums);
        }
        if (groups.size > maxGroups) throw tooMany();
      }
    }
    return [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, sums]) => sums);
  }

  #environments({ environment }: UsageRequest, { environments }: Caller): string[] {
    const known = Object.keys(this.#context.settings.environments);
    const allowed = known.filter((name) => environments?.includes(name) ?? true);
    return environment === undefined ? allowed : allowed.filter((name) => name === environment);
  }

  async *#daysOf(environment: string, days: readonly number[]): AsyncIterable<[day: string, rows: UsageRow[]]> {
    const place: RecordPlace = { collection: "usage", environment };
    const { records } = this.#context.store;
    for (let i = 0; i < days.length; i += recordsAtOnce) {
      const some = days.slice(i, i + recordsAtOnce);
      const kept = await records.get(
        place,
        some.map((day) => recordId(environment, day)),
      );
      for (const day of some) {
        const record = kept.get(recordId(environment, day));
        const rows = record ? (record.value as UsageRow[]) : await this.#sumDay(place, environment, day);
        yield [dayName(day), rows];
      }
    }
  }

  async #sumDay(place: RecordPlace, environment: string, day: number): Promise<UsageRow[]> {
    const { store, clock } = this.#context;
    const sinceMs = clock.wall() - (day + dayMs);
    if (sinceMs < -dayMs) return [];
    if (sinceMs < dayMs) return this.#sumHours(environment, day);
    const rows = await store.usage({ environment, chargedFrom: day, chargedTo: day + dayMs });
    if (!anyOpen(rows) || sinceMs > closesMs) {
      await store.records.insert(place, [{ id: recordId(environment, day), value: rows }]);
    }
    return rows;
  }

  /** An hour at a time, so that reading a day with a million calls does not keep others waiting. */
  async #sumHours(environment: string, day: number): Promise<UsageRow[]> {
    const { store, clock } = this.#context;
    const now = clock.wall();
    for (const key of this.#hours.keys()) if (Number(key.split(" ")[0]) < now - 3 * dayMs) this.#hours.delete(key);
    const all: UsageRow[][] = [];
    for (let from = day; from < day + dayMs; from += hourMs) {
      const key = `${from} ${environment}`;
      let rows = this.#hours.get(key);
      if (!rows) {
        if (from > now + hourMs) break;
        rows = await store.usage({ environment, chargedFrom: from, chargedTo: from + hourMs });
        if (now > from + hourMs + settlesMs && !anyOpen(rows)) this.#hours.set(key, rows);
      }
      all.push(rows);
    }
    return all.flat();
  }
}

function anyOpen(rows: readonly UsageRow[]): boolean {
  return rows.some(({ open }) => open > 0);
}

/** Environments may share a database. */
function recordId(environment: string, day: number): string {
  return `day/${encodeURIComponent(environment)}/${dayName(day)}`;
}

function dayName(day: number): string {
  return new Date(day).toISOString().slice(0, 10);
}

/** The beginnings of the days. */
function daysOf({ from, to }: UsageRequest): number[] {
  const first = Date.parse(`${from}T00:00:00Z`);
  const last = Date.parse(`${to}T00:00:00Z`);
  const days = (last - first) / dayMs + 1;
  if (days < 1) throw new SluiceError("invalid_request", `to must not be before from, ${from}.`, { field: "to" });
  if (days > maxDays) {
    throw new SluiceError("invalid_request", `from and to may be ${maxDays} days apart at most; got ${days}.`, {
      field: "from",
    });
  }
  return Array.from({ length: days }, (_, i) => first + i * dayMs);
}

function tooMany(): SluiceError {
  return new SluiceError(
    "invalid_request",
    `There are more than ${maxGroups} groups: ask for fewer days, or group by less.`,
    { field: "group_by" },
  );
}
