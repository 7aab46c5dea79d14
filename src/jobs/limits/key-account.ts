// The limits of one API key: what is reserved and used, as records and as sums in memory. The sums are read from the
// records when the key is first used, and again every few seconds where other processes write as well.
//
// A read takes a while, and no change that is made meanwhile may be lost. Reservations change the sums before their
// records are written; they are made again on the sums that a read returns, which does no harm (see key-sums.ts). What is
// spent must be added once: a read and the settlements of a key exclude each other.
import type { Settings } from "../../config/settings.ts";
import type { BatchId } from "../../domain/batch.ts";
import type { Clock } from "../../domain/clock.ts";
import { groupBy } from "../../domain/group-by.ts";
import type { JobStore } from "../../store/job-store.ts";
import { Cached } from "../cached.ts";
import type { KeyLimits } from "../caller.ts";
import type { BatchTotal, LimitedBatch } from "../job-limits.ts";
import {
  type Amounts,
  type KeyUsage,
  type LimitedJob,
  nothing,
  plus,
  refusalOf,
  reservationOf,
} from "../reservation.ts";
import { KeySums } from "./key-sums.ts";
import {
  batchReservation,
  batchReservations,
  dayOf,
  newReservation,
  readSums,
  reservations as reservationRecords,
} from "./limit-records.ts";

export interface AccountContext {
  settings: Settings;
  store: JobStore;
  clock: Clock;
  /** Resolves when all settlements that are under way are done. */
  settled: () => Promise<void>;
}

/** How old sums may be where other processes write, in ms, and how old at most before a request waits for new ones. */
const freshMs = 2000;
const staleMs = 30_000;
/** Sums that are older than this refuse nothing, in ms. */
const renewMs = 250;

type ReservedJob = Pick<LimitedJob, "id" | "environment"> & { batchId?: BatchId | undefined };
type Change = (sums: KeySums) => void;

export class KeyAccount {
  readonly #context: AccountContext;
  readonly #keyId: string;
  readonly #loaded: Cached<void>;
  #sums = new KeySums();
  /** Changes whose records are being written. */
  readonly #unwritten = new Set<Change>();
  /** Changes that the read under way may miss. */
  #missed: Change[] | undefined;
  #reading: Promise<void> | undefined;
  readonly #settling = new Set<Promise<void>>();

  constructor(context: AccountContext, keyId: string) {
    this.#context = context;
    this.#keyId = keyId;
    // Where no other process writes, what was read once stays true.
    const [fresh, stale] = context.settings.distributed ? [freshMs, staleMs] : [Number.POSITIVE_INFINITY, undefined];
    this.#loaded = new Cached(context.clock, fresh, () => this.#load(), stale);
  }

  /**
   * Returns what counts against the limits, as this process knows it.
   * @param day the current UTC day, as YYYY-MM-DD
   */
  usage(day: string): KeyUsage {
    return this.#sums.usage(day);
  }

  /**
   * Returns what counts against the limits, after reading the records if this process has not.
   * @param day the current UTC day, as YYYY-MM-DD
   * @throws what the store throws
   */
  async readUsage(day: string): Promise<KeyUsage> {
    await this.#loaded.get();
    return this.usage(day);
  }

  /**
   * Checks jobs.
   * @throws SluiceError as `JobLimits.check`
   */
  check(limits: KeyLimits, jobs: readonly LimitedJob[]): Promise<void> {
    return this.#confirm(() => void this.#reservationsFor(jobs, limits));
  }

  /**
   * Checks a total.
   * @throws SluiceError as `JobLimits.check`
   */
  checkTotal(limits: KeyLimits, total: Amounts): Promise<void> {
    return this.#confirm(() => this.#refuse(total, limits));
  }

  /**
   * Reserves for jobs.
   * @throws SluiceError as `JobLimits.reserve`; then nothing is reserved
   */
  async reserve(limits: KeyLimits, jobs: readonly LimitedJob[]): Promise<void> {
    const { reservations, change } = await this.#confirm(() => {
      // Nothing is awaited between the check and the reservation.
      const reservations = this.#reservationsFor(jobs, limits);
      const change = this.#begin((sums) => {
        for (const [job, amounts] of reservations) sums.reserve(job, amounts);
      });
      return { reservations, change };
    });
    const { store, clock } = this.#context;
    const at = clock.wall();
    try {
      for (const [environment, own] of groupBy(reservations, ([job]) => job.environment)) {
        const records = own.map(([job, amounts]) => newReservation(this.#keyId, job, amounts, at));
        await reservationRecords(store, environment).insertAll(records);
      }
    } catch (error) {
      this.#releaseInMemory(reservations.map(([job]) => job));
      throw error;
    } finally {
      this.#unwritten.delete(change);
    }
  }

  /**
   * Releases the reservations of jobs.
   * @throws what the store throws
   */
  async release(jobs: readonly ReservedJob[]): Promise<void> {
    this.#releaseInMemory(jobs);
    for (const [environment, own] of groupBy(jobs, (job) => job.environment)) {
      await reservationRecords(this.#context.store, environment).remove(...own.map(({ id }) => id));
    }
  }

  hasBatch(batchId: BatchId): boolean {
    return this.#sums.hasBatch(batchId);
  }

  /**
   * Reserves for a batch.
   * @throws SluiceError as `JobLimits.reserve`; what the store throws, and then the sums keep the reservation
   */
  async reserveBatch(limits: KeyLimits, batch: BatchTotal): Promise<void> {
    const { id, environment, total } = batch;
    const change = await this.#confirm(() => {
      if (!this.#sums.hasBatch(id)) this.#refuse(total, limits);
      return this.#begin((sums) => sums.reserveBatch(id, total));
    });
    try {
      await batchReservations(this.#context.store, environment).insert(batchReservation(this.#keyId, batch));
    } finally {
      this.#unwritten.delete(change);
    }
  }

  /**
   * Releases the reservation of a batch.
   * @throws what the store throws
   */
  async releaseBatch({ id, environment }: LimitedBatch): Promise<void> {
    this.#change((sums) => sums.releaseBatch(id));
    await batchReservations(this.#context.store, environment).remove(id);
  }

  /** Writes a settlement and changes the sums, while the records are not being read. */
  async settle(write: (sums: KeySums) => Promise<void>): Promise<void> {
    while (this.#reading) await this.#reading.catch(() => {});
    const settling = write(this.#sums).finally(() => this.#settling.delete(settling));
    this.#settling.add(settling);
    await settling;
  }

  #releaseInMemory(jobs: readonly ReservedJob[]): void {
    this.#change((sums) => {
      for (const job of jobs) sums.release(job);
    });
  }

  /** Changes the sums, and will change those that are read before its record is written. */
  #begin(change: Change): Change {
    this.#unwritten.add(change);
    this.#change(change);
    return change;
  }

  #change(change: Change): void {
    change(this.#sums);
    this.#missed?.push(change);
  }

  /** Before a check refuses, it waits for ends under way to be recorded and for sums that others may have changed. */
  async #confirm<T>(check: () => T): Promise<T> {
    await this.#loaded.get();
    try {
      return check();
    } catch {
      await this.#context.settled();
      if (this.#context.settings.distributed) await this.#loaded.renew(renewMs);
      return check();
    }
  }

  /**
   * Returns what jobs that have no reservation reserve. Lines are not refused: their batch was checked as a whole.
   * @throws SluiceError if the others are too much together
   */
  #reservationsFor(jobs: readonly LimitedJob[], limits: KeyLimits): [LimitedJob, Amounts][] {
    const reservations = jobs
      .filter((job) => !this.#sums.has(job))
      .map((job): [LimitedJob, Amounts] => [job, reservationOf(this.#context.settings, job, limits)]);
    const total = reservations.reduce((sum, [job, own]) => (job.batchId ? sum : plus(sum, own)), nothing);
    if (total.jobs > 0) this.#refuse(total, limits);
    return reservations;
  }

  /**
   * Refuses amounts over the limits.
   * @throws SluiceError if the amounts are too large
   */
  #refuse(wanted: Amounts, limits: KeyLimits): void {
    const refusal = refusalOf(limits, this.#sums.usage(dayOf(this.#context.clock.wall())), wanted);
    if (refusal) throw refusal;
  }

  #load(): Promise<void> {
    this.#missed = [...this.#unwritten];
    this.#reading = this.#read(this.#missed).finally(() => {
      this.#missed = undefined;
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #read(missed: readonly Change[]): Promise<void> {
    await Promise.allSettled(this.#settling);
    const sums = await readSums(this.#context, this.#keyId);
    for (const change of missed) change(sums);
    this.#sums = sums;
  }
}
