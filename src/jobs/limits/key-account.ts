// What one API key has set aside and used, as this process knows it. On record is one small record for each job that has
// not ended (`open/{job}`, written before the job) and one for each that has (`spent/{job}`, the first one counts); the
// sums are made here, when the key is first used, and again every few seconds where other processes write as well.
//
// A batch is set aside as a whole when it is checked (`held/{batch}`). On record that stays as it is until all lines are
// jobs; what is left of it is the whole less what its lines have on record, so that at any time a line counts once.
import type { BatchId } from "../../domain/batch.ts";
import type { JobId } from "../../domain/ids.ts";
import type { Job } from "../../domain/job.ts";
import type { RecordPlace, RecordStore, StoredRecord } from "../../store/record-store.ts";
import { type Claim, type KeyUsage, nothing, plus } from "../reservation.ts";

const pageSize = 1000;

/** What is set aside for a batch. */
interface Held {
  /** For the lines that have nothing set aside of their own; below zero only if these got dearer. */
  left: Claim;
  /** What went over to lines, also of those that have ended since. */
  lines: Map<JobId, Claim>;
}

export class Account {
  readonly #records: RecordStore;
  readonly #places: readonly RecordPlace[];
  readonly #keyId: string;
  #open = new Map<string, Claim>();
  #openSum: Claim = nothing;
  #held = new Map<BatchId, Held>();
  /** Jobs and batches that something is set aside for, and whose record may not be there yet. */
  readonly #unwritten = new Set<JobId | BatchId>();
  /** By UTC day. */
  #spent = new Map<string, Claim>();
  /** What changes while the record is being read. */
  #meanwhile: { jobs: Set<JobId>; batches: Set<BatchId>; spent: [day: string, claim: Claim][] } | undefined;

  constructor(records: RecordStore, places: readonly RecordPlace[], keyId: string) {
    this.#records = records;
    this.#places = places;
    this.#keyId = keyId;
  }

  /** Reads all that is on record of the month of this day. */
  async load(day: string): Promise<void> {
    const meanwhile = {
      jobs: new Set([...this.#unwritten].filter((id) => this.#open.has(id))),
      batches: new Set([...this.#unwritten].filter((id) => this.#held.has(id))),
      spent: [] as [string, Claim][],
    };
    this.#meanwhile = meanwhile;
    const open = new Map<string, Claim>();
    const spent = new Map<string, Claim>();
    const held = new Map<BatchId, Held>();
    // First of all: what a line takes over while this is read is then in neither of the two less than once.
    for (const place of this.#places) {
      for await (const { id, value } of all(this.#records, place, heldRange(this.#keyId))) {
        held.set(idIn(id), { left: (value as HeldValue).claim, lines: new Map() });
      }
    }
    for (const place of this.#places) {
      for await (const { id, value } of all(this.#records, place, openRange(this.#keyId))) {
        const { claim, batchId } = value as OpenValue;
        open.set(idIn(id), countedOf(value as OpenValue));
        if (!meanwhile.jobs.has(idIn(id))) turn(held.get(batchId ?? ""), idIn(id), claim);
      }
      for await (const { id, value } of all(this.#records, place, spentRange(this.#keyId, day))) {
        const { day: when, claim, line } = value as SpentValue;
        spent.set(when, plus(spent.get(when) ?? nothing, claim));
        if (line) turn(held.get(line.batchId), idIn(id), line.claim);
      }
    }
    for (const batchId of meanwhile.batches) {
      const own = this.#held.get(batchId);
      if (own) held.set(batchId, own);
      else held.delete(batchId);
    }
    for (const [batchId, { lines }] of this.#held) {
      for (const jobId of meanwhile.jobs) {
        const claim = lines.get(jobId);
        if (claim) turn(held.get(batchId), jobId, claim);
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
    this.#held = held;
    this.#meanwhile = undefined;
  }

  usage(day: string): KeyUsage {
    let month = nothing;
    for (const [when, claim] of this.#spent) if (when.slice(0, 7) === day.slice(0, 7)) month = plus(month, claim);
    let open = this.#openSum;
    for (const { left } of this.#held.values()) open = plus(open, atLeastNothing(left));
    return { open, today: this.#spent.get(day) ?? nothing, month };
  }

  /** Whether something is set aside for the job, or was, if it is a line of a batch that is being taken in. */
  has({ id, batchId }: LineOrJob): boolean {
    return this.#open.has(id) || this.#heldFor(batchId)?.lines.has(id) === true;
  }

  /** Of a line that its batch has something set aside for, that becomes the line's own. */
  setAside({ id, batchId }: LineOrJob, claim: Claim): void {
    this.release(id);
    this.#unwritten.add(id);
    this.#open.set(id, claim);
    this.#openSum = plus(this.#openSum, claim);
    turn(this.#heldFor(batchId), id, claim);
  }

  /** Of a job that was not stored after all; what a line had is its batch's again. */
  takeBack({ id, batchId }: LineOrJob): void {
    this.release(id);
    const held = this.#heldFor(batchId);
    const claim = held?.lines.get(id);
    if (!held || !claim) return;
    held.lines.delete(id);
    held.left = plus(held.left, claim);
  }

  holds(batchId: BatchId): boolean {
    return this.#held.has(batchId);
  }

  hold(batchId: BatchId, claim: Claim): void {
    this.#meanwhile?.batches.add(batchId);
    this.#unwritten.add(batchId);
    this.#held.set(batchId, { left: claim, lines: new Map() });
  }

  letGo(batchId: BatchId): void {
    this.#meanwhile?.batches.add(batchId);
    this.#unwritten.delete(batchId);
    this.#held.delete(batchId);
  }

  /** Has to follow when what was set aside for a job or a batch is on record. */
  written(id: JobId | BatchId): void {
    this.#unwritten.delete(id);
  }

  release(jobId: string): void {
    this.#unwritten.delete(jobId);
    this.#meanwhile?.jobs.add(jobId);
    const claim = this.#open.get(jobId);
    if (!claim) return;
    this.#open.delete(jobId);
    this.#openSum = plus(this.#openSum, claim, -1);
  }

  /** What counts for a job that something is set aside for: its calls have used something, or it has ended. */
  recount(jobId: JobId, claim: Claim): void {
    const before = this.#open.get(jobId);
    if (!before) return;
    this.#meanwhile?.jobs.add(jobId);
    this.#open.set(jobId, claim);
    this.#openSum = plus(plus(this.#openSum, before, -1), claim);
  }

  spend(day: string, claim: Claim): void {
    this.#meanwhile?.spent.push([day, claim]);
    this.#spent.set(day, plus(this.#spent.get(day) ?? nothing, claim));
  }

  #heldFor(batchId: BatchId | undefined): Held | undefined {
    return batchId === undefined ? undefined : this.#held.get(batchId);
  }
}

type LineOrJob = Pick<Job, "id" | "batchId">;

function turn(held: Held | undefined, jobId: JobId, claim: Claim): void {
  if (!held || held.lines.has(jobId)) return;
  held.lines.set(jobId, claim);
  held.left = plus(held.left, claim, -1);
}

function atLeastNothing({ jobs, tokens, nanoUsd }: Claim): Claim {
  return { jobs: Math.max(0, jobs), tokens: Math.max(0, tokens), nanoUsd: Math.max(0, nanoUsd) };
}

// ---------------------------------------------------------------- on record

export interface OpenValue {
  keyId: string;
  claim: Claim;
  /** When it was set aside; milliseconds since the epoch. */
  at: number;
  /** Whose line it is. */
  batchId?: BatchId;
  /** What calls of the job have used; it counts beside what is set aside for the next one. */
  used?: Claim;
  /** The job has ended and counts as spent; the record stays until the usage of its last call is known. */
  ended?: true;
}

/** What counts for the job until it has ended. */
export function countedOf({ claim, used, ended }: OpenValue): Claim {
  if (ended) return nothing;
  return used ? plus(claim, { ...used, jobs: 0 }) : claim;
}

export interface SpentValue {
  day: string;
  claim: Claim;
  /** What was set aside, of a line of a batch. */
  line?: { batchId: BatchId; claim: Claim };
}

export interface HeldValue {
  environment: string;
  claim: Claim;
}

export function openRecord(keyId: string, { id, batchId }: LineOrJob, claim: Claim, at: number): StoredRecord {
  const value: OpenValue = { keyId, claim, at, ...(batchId !== undefined && { batchId }) };
  return { id: openId(id), order: `key-open/${keyId}/${id}`, value };
}

/** @param open what was set aside */
export function spentRecord(
  { keyId, batchId, claim }: OpenValue,
  jobId: JobId,
  day: string,
  used: Claim,
): StoredRecord {
  const value: SpentValue = { day, claim: used, ...(batchId !== undefined && { line: { batchId, claim } }) };
  return { id: spentId(jobId), order: `key-spent/${keyId}/${day}/${jobId}`, value };
}

export function heldRecord(keyId: string, batchId: BatchId, value: HeldValue): StoredRecord {
  return { id: heldId(batchId), order: `key-held/${keyId}/${batchId}`, value };
}

export function heldId(batchId: BatchId): string {
  return `held/${batchId}`;
}

export function heldRange(keyId: string) {
  return { from: `key-held/${keyId}/`, to: `key-held/${keyId}/~` };
}

/** The record again, with what has changed. */
export function changedOpenRecord(jobId: JobId, value: OpenValue): StoredRecord {
  return { id: openId(jobId), order: `key-open/${value.keyId}/${jobId}`, value };
}

export function spentId(jobId: string): string {
  return `spent/${jobId}`;
}

export function openId(jobId: string): string {
  return `open/${jobId}`;
}

/** Of the job or the batch that a record is about. */
export function idIn(id: string): string {
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
