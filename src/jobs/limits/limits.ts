// Limits that are kept before anything is queued: of each API key (jobs at a time, tokens of the day, dollars of the
// month), and of the whole service (waiting jobs, free disk).
//
// What a job may use at most is set aside when it is accepted, for a batch when it is checked, and becomes what it really
// used when it ends. In one process that is exact, also after a restart. Processes that share a store learn of each other's
// jobs every few seconds, so together they may exceed a limit by what they accept in that time.
import type { Logger } from "pino";
import type { Settings } from "../../config/settings.ts";
import type { BatchId } from "../../domain/batch.ts";
import type { Clock } from "../../domain/clock.ts";
import type { JobId } from "../../domain/ids.ts";
import type { Attempt, Job, Outcome } from "../../domain/job.ts";
import type { JobStore } from "../../store/job-store.ts";
import type { RecordPlace } from "../../store/record-store.ts";
import { findBatch, isIngested } from "../batches/batch-records.ts";
import { Cached } from "../cached.ts";
import type { KeyLimits } from "../caller.ts";
import type { KeyRegistry } from "../keys/key-registry.ts";
import type { HeldBatch, LimitsGate } from "../limits-gate.ts";
import { type Claim, claimOf, nothing, plus, refusalOf } from "../reservation.ts";
import {
  Account,
  forgottenRange,
  type HeldValue,
  heldId,
  heldRange,
  heldRecord,
  idIn,
  type OpenValue,
  openId,
  openRange,
  openRecord,
} from "./key-account.ts";
import { ServiceRoom } from "./service-capacity.ts";
import { type KnownJob, Settlement } from "./settlement.ts";

export interface LimitsContext {
  settings: Settings;
  store: JobStore;
  keys: Pick<KeyRegistry, "limitsOf" | "limited">;
  clock: Clock;
  log: Logger;
}

/** How old the sums of a key may be where other processes change them, and how old at most before they are waited for. */
const freshMs = 2000;
const staleMs = 30_000;
/** Sums that are older than this refuse nobody. */
const renewMs = 250;
/** Jobs of one key that are looked at in one round of `tidy`. */
const tidiedAtOnce = 200;
/** A job that is not on record so long after something was set aside for it will not come. */
const orphanMs = 600_000;

interface Known {
  account: Account;
  loaded: Cached<void>;
  /** Where the next round of `tidy` goes on, by place. */
  cursors: (string | undefined)[];
}

export class Limits implements LimitsGate {
  readonly #context: LimitsContext;
  readonly #places: readonly RecordPlace[];
  readonly #known = new Map<string, Known>();
  readonly #room: ServiceRoom;
  readonly #settlement: Settlement;
  /** Ends that are being written down. */
  readonly #ending = new Set<Promise<void>>();

  constructor(context: LimitsContext) {
    this.#context = context;
    const { settings, store, clock } = context;
    this.#places = Object.keys(settings.environments).map((environment) => ({ collection: "usage", environment }));
    this.#room = new ServiceRoom(settings, store, clock);
    this.#settlement = new Settlement(context, (keyId) => this.#known.get(keyId)?.account);
  }

  async check(jobs: readonly Job[]): Promise<void> {
    await this.#room.check(jobs.length);
    for (const [keyId, limits, own] of this.#byLimitedKey(jobs)) {
      await this.#upToDate(keyId, (account) => this.#claimsOf(own, limits, account));
    }
  }

  isLimited(keyId: string | undefined): boolean {
    return keyId !== undefined && this.#context.keys.limitsOf(keyId) !== undefined;
  }

  claimOf(job: Job): Claim {
    const limits = job.keyId === undefined ? undefined : this.#context.keys.limitsOf(job.keyId);
    return limits ? claimOf(this.#context.settings, job, limits) : { ...nothing, jobs: 1 };
  }

  async checkTotal(keyId: string | undefined, total: Claim): Promise<void> {
    await this.#room.check(total.jobs);
    const limits = keyId === undefined ? undefined : this.#context.keys.limitsOf(keyId);
    if (keyId === undefined || !limits) return;
    await this.#upToDate(keyId, (account) => this.#refuse(limits, account, total));
  }

  async holdBatch({ id, environment, keyId }: HeldBatch, total: Claim): Promise<void> {
    await this.#room.hold(id, environment, total.jobs);
    const limits = keyId === undefined ? undefined : this.#context.keys.limitsOf(keyId);
    if (keyId === undefined || !limits) return;
    try {
      await this.#upToDate(keyId, (account) => {
        if (account.holds(id)) return;
        this.#refuse(limits, account, total);
        account.hold(id, total);
      });
    } catch (error) {
      this.#room.letGo(id);
      throw error;
    }
    const record = heldRecord(keyId, id, { environment, claim: total });
    await this.#context.store.records.insert({ collection: "usage", environment }, [record]);
    this.#known.get(keyId)?.account.written(id);
  }

  resumeBatch({ id, environment }: HeldBatch, lines: number): void {
    this.#room.holdChecked(id, environment, lines);
  }

  async releaseBatch({ id, environment, keyId }: HeldBatch): Promise<void> {
    this.#room.letGo(id);
    if (keyId === undefined) return;
    this.#known.get(keyId)?.account.letGo(id);
    try {
      await this.#context.store.records.remove({ collection: "usage", environment }, [heldId(id)]);
    } catch (error) {
      this.#context.log.warn({ err: error, batchId: id }, "failed to release the reservation of a batch");
    }
  }

  async reserve(jobs: readonly Job[]): Promise<void> {
    const batchId = jobs[0]?.batchId;
    await this.#room.take(jobs.length, batchId);
    try {
      await this.#reserveForKeys(jobs);
    } catch (error) {
      this.#room.giveBack(jobs.length, batchId);
      throw error;
    }
  }

  async #reserveForKeys(jobs: readonly Job[]): Promise<void> {
    for (const [keyId, limits, own] of this.#byLimitedKey(jobs)) {
      const { account } = await this.#accountOf(keyId);
      const claims = await this.#upToDate(keyId, () => {
        // Nothing is waited for between the check and setting aside.
        const fitting = this.#claimsOf(own, limits, account);
        for (const [job, claim] of fitting) account.setAside(job, claim);
        return fitting;
      });
      try {
        await this.#writeOpen(keyId, claims);
        for (const [job] of claims) account.written(job.id);
      } catch (error) {
        for (const [job] of claims) account.takeBack(job);
        throw error;
      }
    }
  }

  async reserveRoom(lines: number, batchId: BatchId): Promise<void> {
    await this.#room.take(lines, batchId);
  }

  releaseRoom(lines: number, batchId: BatchId): void {
    this.#room.giveBack(lines, batchId);
  }

  stored(jobs: number): void {
    this.#room.stored(jobs);
  }

  async #writeOpen(keyId: string, claims: readonly [Job, Claim][]): Promise<void> {
    const at = this.#context.clock.wall();
    for (const environment of new Set(claims.map(([job]) => job.environment))) {
      const records = claims
        .filter(([job]) => job.environment === environment)
        .map(([job, claim]) => openRecord(keyId, job, claim, at));
      await this.#context.store.records.insert({ collection: "usage", environment }, records);
    }
  }

  async release(jobs: readonly Job[]): Promise<void> {
    this.#room.giveBack(jobs.length, jobs[0]?.batchId);
    for (const job of jobs) {
      const { id, keyId, environment } = job;
      if (keyId === undefined || !this.#context.keys.limitsOf(keyId)) continue;
      this.#known.get(keyId)?.account.takeBack(job);
      await this.#context.store.records.remove({ collection: "usage", environment }, [openId(id)]);
    }
  }

  ended(environment: string, outcome: Outcome, attempts?: readonly Attempt[]): Promise<void> {
    return this.#settle(environment, outcome.jobId, attempts && { attempts, outcome }, outcome);
  }

  attempted(environment: string, jobId: JobId, attempts?: readonly Attempt[]): Promise<void> {
    return this.#settle(environment, jobId, attempts && { attempts });
  }

  async #settle(environment: string, jobId: JobId, known?: KnownJob, outcome?: Outcome): Promise<void> {
    if (this.#context.keys.limited.length === 0) return;
    const place: RecordPlace = { collection: "usage", environment };
    const settled = this.#settlement.settle(place, jobId, known, outcome).catch((error) => {
      this.#context.log.warn({ err: error, jobId }, "failed to record what a job used; trying again");
    });
    this.#ending.add(settled);
    await settled;
    this.#ending.delete(settled);
  }

  /** One round of making good what a crash or a lost write left behind: jobs that ended, or never came, and batches. */
  async tidy(): Promise<void> {
    for (const [id, environment] of this.#room.held) {
      if (await this.#isIngested(environment, id)) this.#room.letGo(id);
    }
    for (const keyId of this.#context.keys.limited) {
      const known = await this.#accountOf(keyId);
      for (const [i, place] of this.#places.entries()) {
        known.cursors[i] = await this.#tidyPlace(place, keyId, known.cursors[i]);
        await this.#tidyHeld(place, keyId);
        const old = await this.#context.store.records.list(place, {
          ...forgottenRange(keyId, this.#today()),
          limit: 1000,
        });
        await this.#context.store.records.remove(
          place,
          old.items.map((item) => item.id),
        );
      }
    }
  }

  async #tidyHeld(place: RecordPlace, keyId: string): Promise<void> {
    const page = await this.#context.store.records.list(place, { ...heldRange(keyId), limit: tidiedAtOnce });
    for (const { id, value } of page.items) {
      const { environment } = value as HeldValue;
      if (await this.#isIngested(environment, idIn(id))) await this.releaseBatch({ id: idIn(id), environment, keyId });
    }
  }

  /** Also if there is no such batch. */
  async #isIngested(environment: string, id: BatchId): Promise<boolean> {
    const batch = await findBatch(this.#context, environment, id);
    return !batch || isIngested(batch, this.#context.clock.wall());
  }

  async #tidyPlace(place: RecordPlace, keyId: string, cursor: string | undefined): Promise<string | undefined> {
    const { store } = this.#context;
    const page = await store.records.list(place, { ...openRange(keyId), limit: tidiedAtOnce, cursor });
    for (const { id, value } of page.items) {
      const jobId = idIn(id);
      const record = await store.get(jobId);
      if (record) await this.#settlement.settle(place, jobId, record);
      else if (this.#context.clock.wall() - (value as OpenValue).at > orphanMs) {
        this.#known.get(keyId)?.account.takeBack({ id: jobId, batchId: (value as OpenValue).batchId });
        await store.records.remove(place, [id]);
      }
    }
    return page.next;
  }

  *#byLimitedKey(jobs: readonly Job[]): Iterable<[keyId: string, limits: KeyLimits, jobs: Job[]]> {
    const byKey = new Map<string, Job[]>();
    for (const job of jobs) {
      if (job.keyId === undefined) continue;
      const own = byKey.get(job.keyId);
      if (own) own.push(job);
      else byKey.set(job.keyId, [job]);
    }
    for (const [keyId, own] of byKey) {
      const limits = this.#context.keys.limitsOf(keyId);
      if (limits) yield [keyId, limits, own];
    }
  }

  /** @throws SluiceError if all of them together are too much */
  #claimsOf(jobs: readonly Job[], limits: KeyLimits, account: Account): [Job, Claim][] {
    const fresh = jobs.filter((job) => !account.has(job));
    const claims = fresh.map((job): [Job, Claim] => [job, claimOf(this.#context.settings, job, limits)]);
    const sum = claims.reduce((total, [job, claim]) => (job.batchId ? total : plus(total, claim)), nothing);
    if (sum.jobs > 0) this.#refuse(limits, account, sum);
    return claims;
  }

  /** @throws SluiceError if it is too much */
  #refuse(limits: KeyLimits, account: Account, claim: Claim): void {
    const refusal = refusalOf(limits, account.usage(this.#today()), claim);
    if (refusal) throw refusal;
  }

  /**
   * What is refused is looked at again when ends that are known of are written down, so that a caller who has its answer
   * has room for the next job; and with new sums, where other processes may have changed them.
   */
  async #upToDate<T>(keyId: string, look: (account: Account) => T): Promise<T> {
    const { account, loaded } = await this.#accountOf(keyId);
    try {
      return look(account);
    } catch (error) {
      const ended = this.#ending.size > 0;
      await Promise.all(this.#ending);
      const renewed = this.#context.settings.distributed && (await loaded.renew(renewMs));
      if (!ended && !renewed) throw error;
      return look(account);
    }
  }

  async #accountOf(keyId: string): Promise<Known> {
    const { store, clock, settings } = this.#context;
    let known = this.#known.get(keyId);
    if (!known) {
      const account = new Account(store.records, this.#places, keyId);
      // Where nobody else writes, what was read once stays true.
      const [fresh, stale] = settings.distributed ? [freshMs, staleMs] : [Number.POSITIVE_INFINITY, undefined];
      const loaded = new Cached(clock, fresh, () => account.load(this.#today()), stale);
      known = { account, loaded, cursors: [] };
      this.#known.set(keyId, known);
    }
    await known.loaded.get();
    return known;
  }

  #today(): string {
    return new Date(this.#context.clock.wall()).toISOString().slice(0, 10);
  }
}
