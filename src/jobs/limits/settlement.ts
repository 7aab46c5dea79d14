// What a job used takes the place of what it reserved: when a call ends, when the job ends, and once more when a call
// of a job that has ended ends late. It is derived from the attempts each time, so it may be repeated.
import type { Settings } from "../../config/settings.ts";
import type { Clock } from "../../domain/clock.ts";
import type { JobId } from "../../domain/ids.ts";
import type { Attempt } from "../../domain/job.ts";
import type { JobStore } from "../../store/job-store.ts";
import type { KnownJob } from "../job-limits.ts";
import { type Amounts, plus } from "../reservation.ts";
import type { KeyAccount } from "./key-account.ts";
import type { KeySums } from "./key-sums.ts";
import {
  countedOf,
  dayOf,
  type ReservationRecord,
  reservationRecord,
  reservations,
  type SpendingRecord,
  spending,
  spendingRecord,
} from "./limit-records.ts";
import { usedBy, usedByOutcome } from "./used-amounts.ts";

interface SettlementContext {
  settings: Settings;
  store: JobStore;
  clock: Pick<Clock, "wall">;
}

/** A job with a reservation, and what its calls have used. */
interface UsedJob {
  jobId: JobId;
  environment: string;
  reservation: ReservationRecord;
  used: Amounts;
}

export class Settlement {
  readonly #context: SettlementContext;
  readonly #accountOf: (keyId: string) => KeyAccount;
  /** Running settlements, one at a time for each job, so that the sums in memory follow the records. */
  readonly #underWay = new Map<JobId, Promise<void>>();

  constructor(context: SettlementContext, accountOf: (keyId: string) => KeyAccount) {
    this.#context = context;
    this.#accountOf = accountOf;
  }

  /** Resolves when all settlements that are under way now are done, or have failed. */
  async idle(): Promise<void> {
    await Promise.allSettled(this.#underWay.values());
  }

  /**
   * Brings what counts for a job up to date. Does nothing if the job has no reservation.
   * @param known what is absent is read
   * @throws what the store throws
   */
  settle(environment: string, jobId: JobId, known: KnownJob = {}): Promise<void> {
    const before = this.#underWay.get(jobId) ?? Promise.resolve();
    const settled = before
      .catch(() => {})
      .then(() => this.#settle(environment, jobId, known))
      .finally(() => {
        if (this.#underWay.get(jobId) === settled) this.#underWay.delete(jobId);
      });
    this.#underWay.set(jobId, settled);
    return settled;
  }

  async #settle(environment: string, jobId: JobId, known: KnownJob): Promise<void> {
    const { store } = this.#context;
    const [reservation, spent] = await Promise.all([
      reservations(store, environment).get(jobId),
      spending(store, environment).get(jobId),
    ]);
    if (!reservation) return;
    // A worker that knows the attempts may not know that the job was cancelled meanwhile.
    const isStale = !known.outcome && spent !== undefined;
    const record = known.attempts && !isStale ? undefined : await store.get(jobId, "none");
    const attempts = record?.attempts ?? known.attempts ?? [];
    const outcome = record?.outcome ?? known.outcome;
    // What is reserved for the next call covers the one that runs.
    const counted = outcome || attempts.at(-1)?.end ? attempts : attempts.slice(0, -1);
    const isBare = attempts.length === 0 && outcome !== undefined;
    const used = isBare ? usedByOutcome(outcome, reservation.claim) : usedBy(counted, reservation.claim);
    const job = { jobId, environment, reservation, used };
    await this.#accountOf(reservation.keyId).settle(async (sums) => {
      if (!outcome) return this.#count(sums, job, { ...reservation, used });
      await this.#spend(sums, job, dayOf(outcome.at), spent);
      if (!this.#isFinal(attempts)) return this.#count(sums, job, { ...reservation, ended: true });
      sums.settle(jobId, undefined);
      await reservations(store, environment).remove(jobId);
    });
  }

  /** Returns whether no usage will become known any more. */
  #isFinal(attempts: readonly Attempt[]): boolean {
    const { settings, clock } = this.#context;
    const longestMs = settings.timeouts.totalMs + settings.scheduler.leaseMs;
    return attempts.every(({ end, chargedAt }) => end !== undefined || clock.wall() - chargedAt > longestMs);
  }

  /** Changes what counts until the job has ended. */
  async #count(sums: KeySums, { jobId, environment, reservation }: UsedJob, next: ReservationRecord): Promise<void> {
    const counted = countedOf(next);
    if (isSame(countedOf(reservation), counted)) return;
    sums.settle(jobId, counted);
    await reservations(this.#context.store, environment).put(reservationRecord(jobId, next));
  }

  /** Counts what the job used on the day of its end, or corrects what it counted before. */
  async #spend(
    sums: KeySums,
    { jobId, environment, reservation, used }: UsedJob,
    day: string,
    known: SpendingRecord | undefined,
  ): Promise<void> {
    const records = spending(this.#context.store, environment);
    let spent = known;
    if (!spent) {
      if (await records.insert(spendingRecord(reservation, jobId, day, used))) return sums.spend(day, used);
      spent = await records.get(jobId);
    }
    if (!spent || isSame(spent.claim, used)) return;
    await records.put(spendingRecord(reservation, jobId, spent.day, used));
    sums.spend(spent.day, plus(used, spent.claim, -1));
  }
}

function isSame(a: Amounts, b: Amounts): boolean {
  const { jobs, tokens, nanoUsd, estimated } = plus(a, b, -1);
  return [jobs, tokens, nanoUsd, estimated?.tokens ?? 0, estimated?.nanoUsd ?? 0].every((n) => n === 0);
}
