// What one API key has set aside and used, as this process knows it. On record is one small record for each job that has
// not ended (`open/{job}`, written before the job) and one for each that has (`spent/{job}`, the first one counts); the
// sums are made here, when the key is first used, and again every few seconds where other processes write as well.
import type { RecordPlace, RecordStore, StoredRecord } from "../../store/record-store.ts";
import { type Claim, nothing, plus, type Standing } from "./claim.ts";

const pageSize = 1000;

export class Account {
  readonly #records: RecordStore;
  readonly #places: readonly RecordPlace[];
  readonly #keyId: string;
  #open = new Map<string, Claim>();
  #openSum: Claim = nothing;
  /** By UTC day. */
  #spent = new Map<string, Claim>();
  /** What changes while the record is being read. */
  #meanwhile: { jobs: Set<string>; spent: [day: string, claim: Claim][] } | undefined;

  constructor(records: RecordStore, places: readonly RecordPlace[], keyId: string) {
    this.#records = records;
    this.#places = places;
    this.#keyId = keyId;
  }

  /** Reads all that is on record of the month of this day. */
  async load(day: string): Promise<void> {
    const meanwhile = { jobs: new Set<string>(), spent: [] as [string, Claim][] };
    this.#meanwhile = meanwhile;
    const open = new Map<string, Claim>();
    const spent = new Map<string, Claim>();
    for (const place of this.#places) {
      for await (const { id, value } of all(this.#records, place, openRange(this.#keyId))) {
        open.set(jobIdIn(id), (value as OpenValue).claim);
      }
      for await (const { value } of all(this.#records, place, spentRange(this.#keyId, day))) {
        const { day: when, claim } = value as SpentValue;
        spent.set(when, plus(spent.get(when) ?? nothing, claim));
      }
    }
    for (const jobId of meanwhile.jobs) {
      const claim = this.#open.get(jobId);
      if (claim) open.set(jobId, claim);
      else open.delete(jobId);
    }
    // Perhaps counted twice, until the record is read again: better than not at all.
    for (const [when, claim] of meanwhile.spent) spent.set(when, plus(spent.get(when) ?? nothing, claim));
    this.#open = open;
    this.#openSum = [...open.values()].reduce((sum, claim) => plus(sum, claim), nothing);
    this.#spent = spent;
    this.#meanwhile = undefined;
  }

  standing(day: string): Standing {
    let month = nothing;
    for (const [when, claim] of this.#spent) if (when.slice(0, 7) === day.slice(0, 7)) month = plus(month, claim);
    return { open: this.#openSum, today: this.#spent.get(day) ?? nothing, month };
  }

  has(jobId: string): boolean {
    return this.#open.has(jobId);
  }

  setAside(jobId: string, claim: Claim): void {
    this.release(jobId);
    this.#open.set(jobId, claim);
    this.#openSum = plus(this.#openSum, claim);
  }

  release(jobId: string): void {
    this.#meanwhile?.jobs.add(jobId);
    const claim = this.#open.get(jobId);
    if (!claim) return;
    this.#open.delete(jobId);
    this.#openSum = plus(this.#openSum, claim, -1);
  }

  spend(day: string, claim: Claim): void {
    this.#meanwhile?.spent.push([day, claim]);
    this.#spent.set(day, plus(this.#spent.get(day) ?? nothing, claim));
  }
}

// ---------------------------------------------------------------- on record

export interface OpenValue {
  keyId: string;
  claim: Claim;
  /** When it was set aside; milliseconds since the epoch. */
  at: number;
}

interface SpentValue {
  day: string;
  claim: Claim;
}

export function openRecord(keyId: string, jobId: string, claim: Claim, at: number): StoredRecord {
  const value: OpenValue = { keyId, claim, at };
  return { id: openId(jobId), order: `key-open/${keyId}/${jobId}`, value };
}

export function spentRecord(keyId: string, jobId: string, day: string, claim: Claim): StoredRecord {
  const value: SpentValue = { day, claim };
  return { id: `spent/${jobId}`, order: `key-spent/${keyId}/${day}/${jobId}`, value };
}

export function openId(jobId: string): string {
  return `open/${jobId}`;
}

export function jobIdIn(id: string): string {
  return id.slice(id.indexOf("/") + 1);
}

export function openRange(keyId: string) {
  return { from: `key-open/${keyId}/`, to: `key-open/${keyId}/~` };
}

/** Of the month that the day is in; it is read whole, so that the first days of it count. */
function spentRange(keyId: string, day: string) {
  const month = `key-spent/${keyId}/${day.slice(0, 7)}`;
  return { from: month, to: `${month}~` };
}

/** What was spent before the month before the one that the day is in: no limit looks at it any more. */
export function forgottenRange(keyId: string, day: string) {
  const [year, month] = day.split("-").map(Number) as [number, number];
  const before = new Date(Date.UTC(year, month - 2, 1)).toISOString().slice(0, 7);
  return { from: `key-spent/${keyId}/`, to: `key-spent/${keyId}/${before}` };
}

async function* all(records: RecordStore, place: RecordPlace, range: { from: string; to: string }) {
  let cursor: string | undefined;
  do {
    const page = await records.list(place, { ...range, limit: pageSize, cursor });
    yield* page.items;
    cursor = page.next;
  } while (cursor !== undefined);
}
