// Sums of what attempts used, hour by hour. MongoDB's increments are not relied on to be atomic, so every process adds
// up the attempts itself, each of them once. A refresh reads the attempts that came since the one before, and the ends
// of those that were open. A completed hour is stored as a document, and so is a day. So a starting process reads no
// more attempts than those of the last two hours.
import type { Clock } from "../../domain/clock.ts";
import type { Attempt } from "../../domain/job.ts";
import { addUsage, noUsage, type UsageRow, usageFields, usageOfAttempt } from "../../domain/usage.ts";

/** An attempt, with the owner of its job within the environment. */
export interface CountedAttempt {
  id: string;
  tenant: string;
  keyId?: string;
  attempt: Attempt;
}

/** Sums as they are stored: for each row the tenant, the key or null, the model, and the values of `usageFields`. */
export interface KeptSums {
  rows: [tenant: string, keyId: string | null, model: string, ...sums: number[]][];
  /** Ids of the counted attempts that had no end; they count at their estimates. */
  open: string[];
}

/** The attempts and stored sums of one environment. */
export interface UsageSource {
  /**
   * Yields attempts that were charged in a range, with their ends, oldest first, a page at a time. Times are
   * milliseconds since the epoch.
   */
  charged(from: number, to: number): AsyncIterable<CountedAttempt[]>;
  /** Returns the existing attempts among these ids, with their ends. */
  attempts(ids: readonly string[]): Promise<CountedAttempt[]>;
  load(names: readonly string[]): Promise<Map<string, KeptSums>>;
  /** Stores sums. The last write wins: every version is correct, and says which attempts were still open. */
  save(name: string, sums: KeptSums): Promise<void>;
}

const hourMs = 3_600_000;
const hoursPerDay = 24;
const dayMs = hoursPerDay * hourMs;
/** Longest time between an attempt's charge and its write. After that its hour is counted once more and stored. */
const settlesMs = hourMs;
/**
 * Attempts of several processes become visible in another order than that of their charges. This is the largest
 * difference, in milliseconds.
 */
const overlapMs = 10_000;
/** Hours older than this are dropped from memory. */
const rememberedMs = 3 * dayMs;
/** Number of days whose sums are read at a time. */
export const daysAtOnce = 50;

type Sums = Omit<UsageRow, "day">;

/** Sums of one hour, or of one day. */
class PeriodSums {
  readonly #source: UsageSource;
  readonly #from: number;
  readonly #to: number;
  readonly #name: string;
  #rows = new Map<string, Sums>();
  #open = new Map<string, CountedAttempt>();
  /** Attempts charged at or after `#readTo` less the overlap, which must not be counted again. */
  readonly #recent = new Map<string, number>();
  #readTo: number;
  #isComplete = false;
  #reading: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(source: UsageSource, from: number, lengthMs: number) {
    this.#source = source;
    this.#from = from;
    this.#to = from + lengthMs;
    this.#readTo = from;
    this.#name = lengthMs === hourMs ? hourName(from) : dayName(from / dayMs);
  }

  get rows(): Iterable<Sums> {
    return this.#rows.values();
  }

  /** Whether the period is over. Then only the attempts in `open` can change it. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  get open(): Iterable<string> {
    return this.#open.keys();
  }

  /** Continues from stored sums. */
  async resume(kept: KeptSums): Promise<void> {
    for (const row of rowsOf(kept)) this.#rows.set(keyOf(row), row);
    for (const counted of kept.open.length === 0 ? [] : await this.#source.attempts(kept.open)) {
      // It was counted without an end.
      const { end: _, ...attempt } = counted.attempt;
      this.#open.set(counted.id, { ...counted, attempt });
    }
    this.#isComplete = true;
  }

  /** Counts what has happened until now. Calls that arrive during a refresh share the next one. */
  refresh(now: number): Promise<void> {
    this.#next ??= (async () => {
      await this.#reading?.catch(() => {});
      this.#reading = this.#next;
      this.#next = undefined;
      await this.#count(now);
    })();
    return this.#next;
  }

  async #count(now: number): Promise<void> {
    const wasComplete = this.#isComplete;
    const wereOpen = this.#open.size;
    if (wasComplete) {
      await this.#close();
    } else if (now > this.#to + settlesMs) {
      const all = new PeriodSums(this.#source, this.#from, this.#to - this.#from);
      await all.#add();
      this.#rows = all.#rows;
      this.#open = all.#open;
      this.#recent.clear();
      this.#isComplete = true;
    } else {
      await this.#close();
      await this.#add();
    }
    if (!this.#isComplete || (wasComplete && this.#open.size === wereOpen)) return;
    await save(this.#source, this.#name, this.rows, this.open);
  }

  /** Adds the attempts that are not counted yet. */
  async #add(): Promise<void> {
    const from = Math.max(this.#from, this.#readTo - overlapMs);
    for await (const page of this.#source.charged(from, this.#to)) {
      for (const counted of page) {
        if (this.#recent.has(counted.id)) continue;
        this.#sum(counted, 1);
        if (!counted.attempt.end) this.#open.set(counted.id, counted);
        this.#recent.set(counted.id, counted.attempt.chargedAt);
        this.#readTo = Math.max(this.#readTo, counted.attempt.chargedAt);
      }
    }
    for (const [id, at] of this.#recent) if (at < this.#readTo - overlapMs) this.#recent.delete(id);
  }

  /** Replaces the estimates of attempts that have ended. */
  async #close(): Promise<void> {
    if (this.#open.size === 0) return;
    for (const counted of await this.#source.attempts([...this.#open.keys()])) {
      const before = this.#open.get(counted.id);
      if (!counted.attempt.end || !before) continue;
      this.#sum(before, -1);
      this.#sum(counted, 1);
      this.#open.delete(counted.id);
    }
  }

  #sum({ tenant, keyId, attempt }: CountedAttempt, sign: 1 | -1): void {
    const of = { tenant, ...(keyId !== undefined && { keyId }), model: attempt.model };
    const key = keyOf(of);
    const row = this.#rows.get(key) ?? { ...of, ...noUsage };
    addUsage(row, usageOfAttempt(attempt), sign);
    this.#rows.set(key, row);
  }
}

/** Sums of one environment. */
export class UsageSums {
  readonly #source: UsageSource;
  readonly #clock: Pick<Clock, "wall">;
  /** Hours by their beginning. */
  readonly #hours = new Map<number, PeriodSums>();

  constructor(source: UsageSource, clock: Pick<Clock, "wall">) {
    this.#source = source;
    this.#clock = clock;
  }

  /**
   * Returns rows in the order of day, tenant, key and model.
   * @param after where the previous page ended; for the first page the first day and an empty text
   */
  async page(
    { toDay, limit }: { toDay: number; limit: number },
    [fromDay, fromKey]: UsagePlace,
  ): Promise<{ items: UsageRow[]; next?: UsagePlace }> {
    const items: UsageRow[] = [];
    let kept = new Map<string, KeptSums>();
    for (let day = fromDay; day <= toDay; day++) {
      if ((day - fromDay) % daysAtOnce === 0) {
        const days = Array.from({ length: Math.min(daysAtOnce, toDay - day + 1) }, (_, i) => dayName(day + i));
        kept = await this.#source.load(days);
      }
      for (const [key, row] of await this.#day(day, kept.get(dayName(day)))) {
        if (day === fromDay && key <= fromKey) continue;
        const last = items.at(-1);
        if (last && items.length === limit) return { items, next: [last.day, keyOf(last)] };
        items.push({ day, ...row });
      }
    }
    return { items };
  }

  /** Stores the sums of a day that is over, if they are not stored yet. Returns whether they are stored. */
  async keepDay(day: number): Promise<boolean> {
    const name = dayName(day);
    if ((await this.#source.load([name])).has(name)) return true;
    await this.#day(day, undefined);
    return (await this.#source.load([name])).has(name);
  }

  /** Returns the rows of a day in the order of their keys. */
  async #day(day: number, kept: KeptSums | undefined): Promise<[key: string, row: Sums][]> {
    const now = this.#clock.wall();
    const periods = await this.#periods(day, kept, now);
    await Promise.all(periods.map((period) => period.refresh(now)));
    const sums = new Map<string, Sums>();
    for (const period of periods) {
      for (const row of period.rows) {
        const sum = sums.get(keyOf(row));
        if (sum) addUsage(sum, row);
        else sums.set(keyOf(row), { ...row });
      }
    }
    if (periods.length === hoursPerDay && periods.every((period) => period.isComplete)) {
      await save(
        this.#source,
        dayName(day),
        sums.values(),
        periods.flatMap((period) => [...period.open]),
      );
    }
    return [...sums].sort(([a], [b]) => (a < b ? -1 : 1));
  }

  /** Returns a completed day as one period, and any other day as its hours. */
  async #periods(day: number, kept: KeptSums | undefined, now: number): Promise<PeriodSums[]> {
    const start = day * dayMs;
    if (kept) {
      const whole = new PeriodSums(this.#source, start, dayMs);
      await whole.resume(kept);
      return [whole];
    }
    // From a clock that is far ahead of this process's.
    if (start > now + hourMs) return [new PeriodSums(this.#source, start, dayMs)];
    // The clocks of other processes may be a little ahead.
    const hours = Array.from({ length: hoursPerDay }, (_, i) => start + i * hourMs).filter((at) => at <= now + hourMs);
    for (const at of this.#hours.keys()) if (at < now - rememberedMs) this.#hours.delete(at);
    const unknown = hours.filter((at) => !this.#hours.has(at));
    const keptHours = unknown.length > 0 ? await this.#source.load(unknown.map(hourName)) : new Map<string, KeptSums>();
    if (keptHours.size === 0 && unknown.length === hoursPerDay && now > start + dayMs + settlesMs) {
      return [new PeriodSums(this.#source, start, dayMs)];
    }
    return Promise.all(
      hours.map(async (at) => {
        const known = this.#hours.get(at);
        if (known) return known;
        const hour = new PeriodSums(this.#source, at, hourMs);
        this.#hours.set(at, hour);
        const sums = keptHours.get(hourName(at));
        if (sums) await hour.resume(sums);
        return hour;
      }),
    );
  }
}

/** Where a page ends: a day, and the last row of it. */
export type UsagePlace = readonly [day: number, key: string];

/** If this fails, the next process that reads the period counts it again. */
async function save(source: UsageSource, name: string, rows: Iterable<Sums>, open: Iterable<string>): Promise<void> {
  await source.save(name, { rows: keptRows(rows), open: [...open] }).catch(() => {});
}

function hourName(from: number): string {
  return `hour/${from / hourMs}`;
}

export function dayName(day: number): string {
  return `day/${day}`;
}

function keyOf({ tenant, keyId, model }: Pick<Sums, "tenant" | "keyId" | "model">): string {
  return JSON.stringify([tenant, keyId ?? "", model]);
}

function keptRows(rows: Iterable<Sums>): KeptSums["rows"] {
  return Array.from(rows, (row) => [
    row.tenant,
    row.keyId ?? null,
    row.model,
    ...usageFields.map((field) => row[field]),
  ]);
}

function* rowsOf({ rows }: KeptSums): Iterable<Sums> {
  for (const [tenant, keyId, model, ...values] of rows) {
    const sums = Object.fromEntries(
      usageFields.map((field, i) => [field, values[i] ?? 0]),
    ) as unknown as typeof noUsage;
    yield { tenant, ...(keyId !== null && { keyId }), model, ...sums };
  }
}
