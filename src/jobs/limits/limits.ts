// Limits that hold before anything is queued: of each API key (jobs at a time, tokens of the day, dollars of the
// month), and of the whole service (waiting jobs, free disk).
//
// What a job may use at most is reserved when it is accepted, for a batch when it is checked. When the job ends, what
// it really used takes its place. In one process that is exact, also after a restart. Processes that share a store
// learn of each other's jobs every few seconds. Together they may exceed a limit by what they accept in that time.
import type { Logger } from "pino";
import type { Settings } from "../../config/settings.ts";
import type { Clock } from "../../domain/clock.ts";
import type { JobId } from "../../domain/ids.ts";
import type { JobStore } from "../../store/job-store.ts";
import { findBatch, isIngested } from "../batches/batch-records.ts";
import type { KeyLimits } from "../caller.ts";
import type { BatchTotal, JobLimits, KnownJob, LimitedBatch } from "../job-limits.ts";
import type { KeyRegistry } from "../keys/key-registry.ts";
import { type KeyUsage, type LimitedJob, type UsedShare, usedShares } from "../reservation.ts";
import { KeyAccount } from "./key-account.ts";
import { batchReservations, dayOf, ofKey, outdatedSpending, reservations, spending } from "./limit-records.ts";
import { ServiceCapacity } from "./service-capacity.ts";
import { Settlement } from "./settlement.ts";

export interface LimitsContext {
  settings: Settings;
  store: JobStore;
  keys: Pick<KeyRegistry, "limitsOf" | "limited">;
  clock: Clock;
  log: Logger;
}

/** Reservations of one key that one round of `tidy` compares with their jobs. */
const tidiedAtOnce = 200;
const removedAtOnce = 1000;
/** Age of a reservation without a stored job, in ms, after which it is released. */
const orphanMs = 600_000;

export class Limits implements JobLimits {
  readonly keys: LimitsContext["keys"];
  readonly #context: LimitsContext;
  readonly #accounts = new Map<string, KeyAccount>();
  readonly #capacity: ServiceCapacity;
  readonly #settlement: Settlement;
  /** Where the next round of `tidy` continues, by key and environment. */
  readonly #cursors = new Map<string, string | undefined>();

  constructor(context: LimitsContext) {
    this.#context = context;
    const { settings, store, clock, keys } = context;
    this.keys = keys;
    this.#capacity = new ServiceCapacity(settings, store, clock);
    this.#settlement = new Settlement(context, (keyId) => this.#accountOf(keyId));
  }

  async usageOf(keyId: string): Promise<KeyUsage | undefined> {
    return this.#limitedKey(keyId)?.account.readUsage(dayOf(this.#context.clock.wall()));
  }

  async check(wanted: Parameters<JobLimits["check"]>[0]): Promise<void> {
    const isTotal = "total" in wanted;
    await this.#capacity.check(isTotal ? wanted.total.jobs : wanted.length);
    const key = this.#limitedKey(isTotal ? wanted.keyId : wanted[0]?.keyId);
    if (!key) return;
    if (isTotal) await key.account.checkTotal(key.limits, wanted.total);
    else await key.account.check(key.limits, wanted);
  }

  async reserve(wanted: readonly LimitedJob[] | BatchTotal): Promise<void> {
    if ("total" in wanted) return this.#reserveBatch(wanted);
    await this.#capacity.reserve(wanted);
    const key = this.#limitedKey(wanted[0]?.keyId);
    if (!key) return;
    try {
      await key.account.reserve(key.limits, wanted);
    } catch (error) {
      this.#capacity.release(wanted);
      throw error;
    }
  }

  async #reserveBatch(batch: BatchTotal): Promise<void> {
    await this.#capacity.reserveBatch(batch);
    const key = this.#limitedKey(batch.keyId);
    // The reservation of a resumed batch is stored already.
    if (!key || batch.resumed) return;
    try {
      await key.account.reserveBatch(key.limits, batch);
    } catch (error) {
      if (!key.account.hasBatch(batch.id)) this.#capacity.releaseBatch(batch.id);
      throw error;
    }
  }

  commit(jobs: readonly LimitedJob[]): void {
    this.#capacity.commit(jobs);
  }

  async release(reserved: readonly LimitedJob[] | LimitedBatch): Promise<void> {
    if ("id" in reserved) return this.#releaseBatch(reserved);
    this.#capacity.release(reserved);
    await this.#limitedKey(reserved[0]?.keyId)?.account.release(reserved);
  }

  async #releaseBatch(batch: LimitedBatch): Promise<void> {
    this.#capacity.releaseBatch(batch.id);
    if (batch.keyId === undefined) return;
    await this.#accountOf(batch.keyId)
      .releaseBatch(batch)
      .catch((error) => {
        this.#context.log.warn({ err: error, batchId: batch.id }, "failed to release the reservation of a batch");
      });
  }

  async ended(environment: string, jobId: JobId, known?: KnownJob): Promise<void> {
    if (this.keys.limited.length === 0) return;
    await this.#settlement.settle(environment, jobId, known).catch((error) => {
      this.#context.log.warn({ err: error, jobId }, "failed to record the usage of a job; trying again");
    });
  }

  /**
   * Returns the used parts of limits of the keys that this process has used. It reads nothing, so where other processes
   * serve the same keys, the values may be old.
   */
  usedShares(): (UsedShare & { keyId: string })[] {
    const day = dayOf(this.#context.clock.wall());
    return [...this.#accounts].flatMap(([keyId, account]) =>
      usedShares(this.keys.limitsOf(keyId) ?? {}, account.usage(day)).map((share) => ({ keyId, ...share })),
    );
  }

  /** Makes good, for some jobs and batches of each key, what a crash or a failed write left behind. */
  async tidy(): Promise<void> {
    for (const batch of this.#capacity.batches) {
      if (await this.#isIngested(batch)) this.#capacity.releaseBatch(batch.id);
    }
    for (const keyId of this.keys.limited) {
      for (const environment of Object.keys(this.#context.settings.environments)) {
        await this.#tidyReservations(keyId, environment);
        await this.#tidyBatches(keyId, environment);
        await this.#removeOutdated(keyId, environment);
      }
    }
  }

  /** Settles jobs that have ended, and releases those that never came. */
  async #tidyReservations(keyId: string, environment: string): Promise<void> {
    const { store, clock } = this.#context;
    const place = `${keyId}/${environment}`;
    const query = { limit: tidiedAtOnce, cursor: this.#cursors.get(place) };
    const page = await reservations(store, environment).page(ofKey(keyId), query);
    for (const { id, value } of page.items) {
      const { at, batchId } = value;
      const record = await store.get(id, "none");
      if (record) await this.#settlement.settle(environment, id, record);
      else if (clock.wall() - at > orphanMs) await this.#accountOf(keyId).release([{ id, environment, batchId }]);
    }
    this.#cursors.set(place, page.next);
  }

  async #tidyBatches(keyId: string, environment: string): Promise<void> {
    const found = await batchReservations(this.#context.store, environment).list(tidiedAtOnce, ofKey(keyId));
    for (const { id } of found) {
      const batch = { id, environment, keyId };
      if (await this.#isIngested(batch)) await this.#releaseBatch(batch);
    }
  }

  async #removeOutdated(keyId: string, environment: string): Promise<void> {
    const { store, clock } = this.#context;
    const outdated = await spending(store, environment).list(
      removedAtOnce,
      outdatedSpending(keyId, dayOf(clock.wall())),
    );
    await spending(store, environment).remove(...outdated.map(({ id }) => id));
  }

  /** Returns whether all lines are jobs that will be, or there is no such batch. */
  async #isIngested({ id, environment }: LimitedBatch): Promise<boolean> {
    const batch = await findBatch(this.#context, environment, id);
    return !batch || isIngested(batch, this.#context.clock.wall());
  }

  #limitedKey(keyId: string | undefined): { account: KeyAccount; limits: KeyLimits } | undefined {
    const limits = keyId === undefined ? undefined : this.keys.limitsOf(keyId);
    return limits && { account: this.#accountOf(keyId!), limits };
  }

  #accountOf(keyId: string): KeyAccount {
    let account = this.#accounts.get(keyId);
    if (!account) {
      account = new KeyAccount({ ...this.#context, settled: () => this.#settlement.idle() }, keyId);
      this.#accounts.set(keyId, account);
    }
    return account;
  }
}
