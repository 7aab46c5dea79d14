// What a job used takes the place of what was set aside for it: when a call ends, when the job ends, and once more when
// the call of a job that has ended ends late. It is derived from the attempts each time, so it may be done again.
import type { Settings } from "../../config/settings.ts";
import type { Clock } from "../../domain/clock.ts";
import type { JobId } from "../../domain/ids.ts";
import type { Attempt, Outcome } from "../../domain/job.ts";
import type { JobStore } from "../../store/job-store.ts";
import type { RecordPlace } from "../../store/record-store.ts";
import { type Claim, plus } from "../reservation.ts";
import {
  type Account,
  changedOpenRecord,
  countedOf,
  type OpenValue,
  openId,
  type SpentValue,
  spentId,
  spentRecord,
} from "./key-account.ts";
import { usedBy, usedByOutcome } from "./used-amounts.ts";

/** A job as it is on record. */
export interface KnownJob {
  attempts: readonly Attempt[];
  outcome?: Outcome;
}

interface SettlementContext {
  settings: Settings;
  store: JobStore;
  clock: Pick<Clock, "wall">;
}

export class Settlement {
  readonly #context: SettlementContext;
  readonly #accountOf: (keyId: string) => Account | undefined;
  /** One at a time for each job, so that the sums in memory change by what changes on record. */
  readonly #underWay = new Map<JobId, Promise<void>>();

  /** @param accountOf the sums of a key in memory, if they have been read */
  constructor(context: SettlementContext, accountOf: (keyId: string) => Account | undefined) {
    this.#context = context;
    this.#accountOf = accountOf;
  }

  /**
   * Brings what counts for a job up to date. Does nothing if nothing is set aside for it.
   * @param known absent: it is read
   * @param outcome of a job that may not be on record
   * @throws what the store throws
   */
  settle(place: RecordPlace, jobId: JobId, known?: KnownJob, outcome?: Outcome): Promise<void> {
    const before = this.#underWay.get(jobId) ?? Promise.resolve();
    const settled = before.catch(() => {}).then(() => this.#settle(place, jobId, known, outcome));
    this.#underWay.set(jobId, settled);
    const done = () => {
      if (this.#underWay.get(jobId) === settled) this.#underWay.delete(jobId);
    };
    settled.then(done, done);
    return settled;
  }

  async #settle(place: RecordPlace, jobId: JobId, known?: KnownJob, outcome?: Outcome): Promise<void> {
    const { store } = this.#context;
    const found = await store.records.get(place, [openId(jobId), spentId(jobId)]);
    const open = found.get(openId(jobId))?.value as OpenValue | undefined;
    if (!open) return;
    const spent = found.get(spentId(jobId))?.value as SpentValue | undefined;
    // A worker that knows the attempts may not know that the job was cancelled meanwhile.
    const isStale = known !== undefined && !known.outcome && spent !== undefined;
    const job = (isStale ? undefined : known) ?? (await store.get(jobId)) ?? { attempts: [], outcome };
    const { attempts } = job;
    const ended = job.outcome ?? outcome;
    const isBare = attempts.length === 0 && ended !== undefined;
    // What is set aside for the next call covers the one that runs.
    const counted = ended || attempts.at(-1)?.end ? attempts : attempts.slice(0, -1);
    const used = isBare ? usedByOutcome(ended, open.claim) : usedBy(counted, open.claim);
    if (!ended) return this.#recount(place, jobId, open, { ...open, used });
    await this.#spend(place, jobId, open, { day: dayOf(ended.at), used }, spent);
    if (this.#isFinal(attempts)) {
      this.#accountOf(open.keyId)?.release(jobId);
      await store.records.remove(place, [openId(jobId)]);
    } else {
      await this.#recount(place, jobId, open, { ...open, ended: true });
    }
  }

  /** Whether no usage will become known any more. */
  #isFinal(attempts: readonly Attempt[]): boolean {
    const { settings, clock } = this.#context;
    const longestMs = settings.timeouts.totalMs + settings.scheduler.leaseMs;
    return attempts.every(({ end, chargedAt }) => end !== undefined || clock.wall() - chargedAt > longestMs);
  }

  async #recount(place: RecordPlace, jobId: JobId, before: OpenValue, next: OpenValue): Promise<void> {
    const counted = countedOf(next);
    if (isSame(countedOf(before), counted)) return;
    this.#accountOf(next.keyId)?.recount(jobId, counted);
    await this.#context.store.records.put(place, changedOpenRecord(jobId, next));
  }

  async #spend(
    place: RecordPlace,
    jobId: JobId,
    open: OpenValue,
    { day, used }: { day: string; used: Claim },
    known: SpentValue | undefined,
  ): Promise<void> {
    const { records } = this.#context.store;
    const account = this.#accountOf(open.keyId);
    let spent = known;
    if (!spent) {
      const [answer] = await records.insert(place, [spentRecord(open, jobId, day, used)]);
      if (answer === "inserted") return account?.spend(day, used);
      spent = (await records.get(place, [spentId(jobId)])).get(spentId(jobId))?.value as SpentValue | undefined;
    }
    if (!spent || isSame(spent.claim, used)) return;
    await records.put(place, spentRecord(open, jobId, spent.day, used));
    account?.spend(spent.day, plus(used, spent.claim, -1));
  }
}

function isSame(a: Claim, b: Claim): boolean {
  const { jobs, tokens, nanoUsd, estimated } = plus(a, b, -1);
  return [jobs, tokens, nanoUsd, estimated?.tokens ?? 0, estimated?.nanoUsd ?? 0].every((n) => n === 0);
}

function dayOf(at: number): string {
  return new Date(at).toISOString().slice(0, 10);
}
