// Limits that are kept before anything is queued: of each API key (jobs at a time, tokens of the day, dollars of the
// month), and of the whole service (waiting jobs, free disk).
//
// What a job may use at most is set aside when it is accepted and becomes what it really used when it ends. In one
// process that is exact, also after a restart. Processes that share a store learn of each other's jobs every few seconds,
// so together they may exceed a limit by what they accept in that time.
import { statfs } from "node:fs/promises";
import type { Logger } from "pino";
import type { Settings } from "../../config/settings.ts";
import type { Clock } from "../../domain/clock.ts";
import { SluiceError } from "../../domain/errors.ts";
import type { Job, Outcome } from "../../domain/job.ts";
import type { JobStore } from "../../store/job-store.ts";
import type { RecordPlace } from "../../store/record-store.ts";
import type { KeyLimits } from "../caller.ts";
import type { KeyRegistry } from "../keys/registry.ts";
import {
  Account,
  forgottenRange,
  jobIdIn,
  type OpenValue,
  openId,
  openRange,
  openRecord,
  spentRecord,
} from "./account.ts";
import { Cached } from "./cached.ts";
import { type Claim, claimOf, nothing, plus, refusalOf } from "./claim.ts";

export interface LimitsContext {
  settings: Settings;
  store: Pick<JobStore, "records" | "get" | "counts">;
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

export class Limits {
  readonly #context: LimitsContext;
  readonly #places: readonly RecordPlace[];
  readonly #known = new Map<string, Known>();
  readonly #waiting: Cached<number>;
  readonly #freeDisk: Cached<number> | undefined;
  #acceptedSince = 0;
  /** Ends that are being written down. */
  readonly #ending = new Set<Promise<void>>();

  constructor(context: LimitsContext) {
    this.#context = context;
    const { settings, store, clock } = context;
    this.#places = Object.keys(settings.environments).map((environment) => ({ collection: "usage", environment }));
    this.#waiting = new Cached(clock, 1000, async () => {
      const counts = await store.counts();
      this.#acceptedSince = 0;
      return Object.values(counts).reduce((sum, { queued }) => sum + queued, 0);
    });
    if (!settings.distributed) {
      this.#freeDisk = new Cached(clock, 1000, async () => {
        // A disk that cannot be asked is not taken for a full one.
        const found = await statfs(settings.dataDir).catch(() => undefined);
        return found ? found.bavail * found.bsize : Number.POSITIVE_INFINITY;
      });
    }
  }

  /**
   * Whether the jobs would be taken now; sets nothing aside.
   * @throws SluiceError `limit_exceeded`, `budget_exceeded`, `storage_full`, `forbidden` (no price is known)
   */
  async check(jobs: readonly Job[]): Promise<void> {
    await this.#checkService(jobs.length);
    for (const [keyId, limits, own] of this.#byLimitedKey(jobs)) {
      await this.#upToDate(keyId, (account) => this.#claimsOf(own, limits, account));
    }
  }

  /** Whether something is set aside for the jobs of the key. */
  isLimited(keyId: string | undefined): boolean {
    return keyId !== undefined && this.#context.keys.limitsOf(keyId) !== undefined;
  }

  /**
   * What would be set aside for a job: nothing if its key has no limits.
   * @throws SluiceError `forbidden` (no price is known)
   */
  claimOf(job: Job): Claim {
    const limits = job.keyId === undefined ? undefined : this.#context.keys.limitsOf(job.keyId);
    return limits ? claimOf(this.#context.settings, job, limits) : { ...nothing, jobs: 1 };
  }

  /**
   * Whether so much would be taken now, all of it together: a batch is looked at as a whole, before it has any job.
   * @throws SluiceError as `check`
   */
  async checkTotal(keyId: string | undefined, total: Claim): Promise<void> {
    await this.#checkService(total.jobs);
    const limits = keyId === undefined ? undefined : this.#context.keys.limitsOf(keyId);
    if (keyId === undefined || !limits) return;
    await this.#upToDate(keyId, (account) => {
      const refusal = refusalOf(limits, account.standing(this.#today()), total);
      if (refusal) throw refusal;
    });
  }

  /**
   * Sets aside what the jobs may use, before they are stored. Repeating it for the same job changes nothing. Lines of a
   * batch are not refused for their key's sake: see `checkTotal`.
   * @throws SluiceError as `check`, and what the store throws; then nothing is set aside
   */
  async reserve(jobs: readonly Job[]): Promise<void> {
    await this.#checkService(jobs.length);
    for (const [keyId, limits, own] of this.#byLimitedKey(jobs)) {
      const { account } = await this.#accountOf(keyId);
      const claims = await this.#upToDate(keyId, () => {
        // Nothing is waited for between the check and setting aside.
        const fitting = this.#claimsOf(own, limits, account);
        for (const [job, claim] of fitting) account.setAside(job.id, claim);
        return fitting;
      });
      try {
        await this.#writeOpen(keyId, claims);
      } catch (error) {
        for (const [job] of claims) account.release(job.id);
        throw error;
      }
    }
    this.#acceptedSince += jobs.length;
  }

  /**
   * The same for jobs whose key has no limits.
   * @throws SluiceError as `check`
   */
  async reserveRoom(jobs: number): Promise<void> {
    await this.#checkService(jobs);
    this.#acceptedSince += jobs;
  }

  async #writeOpen(keyId: string, claims: readonly [Job, Claim][]): Promise<void> {
    const at = this.#context.clock.wall();
    for (const environment of new Set(claims.map(([job]) => job.environment))) {
      const records = claims
        .filter(([job]) => job.environment === environment)
        .map(([job, claim]) => openRecord(keyId, job.id, claim, at));
      await this.#context.store.records.insert({ collection: "usage", environment }, records);
    }
  }

  /** Of jobs that were not stored after all. */
  async release(jobs: readonly Job[]): Promise<void> {
    for (const { id, keyId, environment } of jobs) {
      if (keyId === undefined || !this.#context.keys.limitsOf(keyId)) continue;
      this.#known.get(keyId)?.account.release(id);
      await this.#context.store.records.remove({ collection: "usage", environment }, [openId(id)]);
    }
  }

  /** A job has ended: what was set aside becomes what was used. Never throws; what fails here is made good by `tidy`. */
  async ended(environment: string, outcome: Outcome): Promise<void> {
    if (this.#context.keys.limited.length === 0) return;
    const written = this.#writeEnd(environment, outcome);
    this.#ending.add(written);
    await written;
    this.#ending.delete(written);
  }

  async #writeEnd(environment: string, outcome: Outcome): Promise<void> {
    const { jobId } = outcome;
    const place: RecordPlace = { collection: "usage", environment };
    try {
      const open = (await this.#context.store.records.get(place, [openId(jobId)])).get(openId(jobId));
      if (open) await this.#spend(place, jobId, open.value as OpenValue, outcome);
    } catch (error) {
      this.#context.log.warn({ err: error, jobId }, "what a job used could not be written down; it will be again");
    }
  }

  /** One round of making good what a crash or a lost write left behind: jobs that ended, or never came. */
  async tidy(): Promise<void> {
    for (const keyId of this.#context.keys.limited) {
      const known = await this.#accountOf(keyId);
      for (const [i, place] of this.#places.entries()) {
        known.cursors[i] = await this.#tidyPlace(place, keyId, known.cursors[i]);
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

  async #tidyPlace(place: RecordPlace, keyId: string, cursor: string | undefined): Promise<string | undefined> {
    const { store } = this.#context;
    const page = await store.records.list(place, { ...openRange(keyId), limit: tidiedAtOnce, cursor });
    for (const { id, value } of page.items) {
      const jobId = jobIdIn(id);
      const record = await store.get(jobId);
      if (record?.outcome) await this.#spend(place, jobId, value as OpenValue, record.outcome);
      else if (!record && this.#context.clock.wall() - (value as OpenValue).at > orphanMs) {
        this.#known.get(keyId)?.account.release(jobId);
        await store.records.remove(place, [id]);
      }
    }
    return page.next;
  }

  async #spend(place: RecordPlace, jobId: string, { keyId, claim }: OpenValue, outcome: Outcome): Promise<void> {
    const { records } = this.#context.store;
    const day = new Date(outcome.at).toISOString().slice(0, 10);
    const used = usedBy(outcome, claim);
    const [answer] = await records.insert(place, [spentRecord(keyId, jobId, day, used)]);
    const account = this.#known.get(keyId)?.account;
    if (answer === "inserted") account?.spend(day, used);
    account?.release(jobId);
    await records.remove(place, [openId(jobId)]);
  }

  /** @throws SluiceError */
  async #checkService(jobs: number): Promise<void> {
    const { maxQueuedJobs, minFreeDiskBytes } = this.#context.settings.limits;
    const waiting = (await this.#waiting.get()) + this.#acceptedSince;
    if (waiting + jobs > maxQueuedJobs) {
      throw new SluiceError(
        "limit_exceeded",
        `The service takes up to ${maxQueuedJobs} waiting jobs (limits.maxQueuedJobs); ${waiting} wait now.`,
      );
    }
    const free = (await this.#freeDisk?.get()) ?? Number.POSITIVE_INFINITY;
    if (free < minFreeDiskBytes) {
      throw new SluiceError(
        "storage_full",
        `The disk of the data folder has ${free} bytes left; below ${minFreeDiskBytes} (limits.minFreeDiskBytes) no job is taken.`,
      );
    }
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
    const fresh = jobs.filter((job) => !account.has(job.id));
    const claims = fresh.map((job): [Job, Claim] => [job, claimOf(this.#context.settings, job, limits)]);
    const sum = claims.reduce((total, [job, claim]) => (job.batchId ? total : plus(total, claim)), nothing);
    const refusal = sum.jobs > 0 ? refusalOf(limits, account.standing(this.#today()), sum) : undefined;
    if (refusal) throw refusal;
    return claims;
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

/** What counts: the tokens of the answer, and what all calls have cost. An answer without a price costs what was set aside. */
function usedBy({ usage, costNanoUsd }: Outcome, claim: Claim): Claim {
  if (!usage) return { jobs: 1, tokens: 0, nanoUsd: costNanoUsd ?? 0 };
  const { input, output, cacheRead = 0, cacheWrite = 0 } = usage;
  return { jobs: 1, tokens: input + output + cacheRead + cacheWrite, nanoUsd: costNanoUsd ?? claim.nanoUsd };
}
