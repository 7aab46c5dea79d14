// The jobs of one database: the operations that decide something, and the documents that are derived from them.
//
// The truth is in documents that are inserted once and never change. Their `_id` says what they decide:
//
//   jobs          {job}      the request
//   attempts      {job}/{n}  a call is about to start; or a closing: no call will start any more, and how the job ends
//   attempt_ends  {job}/{n}  how the attempt ended, if the job went on
//   outcomes      {job}      how the job ended, together with the end of the attempt that led to it
//
// Derived from these, for lists, counts, scans and people: `state`, `ended`, `finished_at` and `error` of the job, the
// end of the last attempt in `attempt_ends`, and `generated_texts`. A process can die between any two writes:
//
//   job | attempt          The job is queued, as if the worker had died before the attempt.
//   attempt | state        The state lags until the job's next attempt, end or outcome sets it. `get` and `beginAttempt`
//                          read the attempt itself and find it open. The call does not wait for this write.
//   attempt | its end      How the attempt ended is unknown: that is what an attempt without an end means.
//   end | state            As for an attempt.
//   closing | outcome      The job is queued. The next operation that begins an attempt or ends the job finds the closing
//                          and writes its outcome.
//   outcome | attempt_ends, generated_texts | state, ended
//                          In this order, so a job whose `ended` is true lacks nothing. Every operation that reads a job
//                          whose `ended` is false compares it with `outcomes` and writes what is missing: `get`,
//                          `beginAttempt`, lists, and the walks over unfinished jobs, which never stop.
//
// Changes of `state` are not ordered among processes. On FerretDB, two concurrent updates of a document lose one of them
// even if they set different fields. Each such case is one of the above: `ended` is false and there is an outcome.
import { isDeepStrictEqual } from "node:util";
import type { Db, Document } from "mongodb";
import { mayTry } from "../../domain/attempts.ts";
import { SluiceError } from "../../domain/errors.ts";
import { Group } from "../../domain/group.ts";
import type { JobId } from "../../domain/ids.ts";
import {
  type AttemptEnd,
  type Erasure,
  erasedHead,
  erasedOutcome,
  erasedRequest,
  isFinal,
  type Job,
  type JobHead,
  type JobRecord,
  type JobState,
  type Outcome,
  silentEnd,
} from "../../domain/job.ts";
import { type BeginAttempt, type BeginResult, changedHead, type FinishResult, type JobChange } from "../job-store.ts";
import { type InsertAnswer, insertDocuments, removeDocuments, setFields } from "./commands.ts";
import {
  attemptDocument,
  attemptEndDocument,
  attemptKey,
  attemptOf,
  closingDocument,
  generatedTextDocument,
  headOf,
  type JobDocument,
  jobDocument,
  jobOf,
  type OutcomeDocument,
  outcomeDocument,
  outcomeOf,
  requestOf,
} from "./documents.ts";
import type { Collection } from "./indexes.ts";
import { JobLoads, type LoadedJob } from "./job-loads.ts";
import { find } from "./reads.ts";
import { StateCache } from "./state-cache.ts";

/** Documents in one command. Inserting a thousand small ones takes 20 to 50 ms; more would only make others wait. */
const maxBatch = 1_000;
/** UTF-16 units in one insert command. A command holds 16 MB, and each unit may take 3 bytes. */
const maxBatchText = 4_000_000;

const maxUpdateTries = 5;

export class JobDatabase {
  readonly #db: Db;
  readonly #inserts = new Map<Collection, Group<Document, InsertAnswer>>();
  readonly #states: StateCache;
  /** Returns a job with its attempts and outcome. */
  readonly #loads: Group<JobId, LoadedJob | undefined>;
  /** Returns a job without reading its attempts. */
  readonly #bareLoads: Group<JobId, LoadedJob | undefined>;
  readonly #environments: Group<JobId, string | undefined>;

  /** @param onCommit called with the number of documents in each insert command */
  constructor(db: Db, onCommit?: (writes: number) => void) {
    this.#db = db;
    for (const collection of ["jobs", "attempts", "attempt_ends", "outcomes", "generated_texts"] as const) {
      const run = (documents: Document[]) => {
        onCommit?.(documents.length);
        return insertDocuments(db, collection, documents);
      };
      this.#inserts.set(collection, new Group(run, { maxItems: maxBatch, weigh: textIn, maxWeight: maxBatchText }));
    }
    this.#states = new StateCache(db);
    const loads = new JobLoads(db);
    this.#loads = new Group((jobIds) => loads.whole(jobIds), { maxItems: maxBatch });
    this.#bareLoads = new Group((jobIds) => loads.bare(jobIds), { maxItems: maxBatch });
    this.#environments = new Group((jobIds) => loads.environments(jobIds), { maxItems: maxBatch });
  }

  /** Resolves when lists and counts show every decision that this process has made until now. */
  statesWritten(): Promise<void> {
    return this.#states.written();
  }

  /** Returns the cached state of a job, corrected by changes that are not written yet. */
  cachedState({ _id, state }: Pick<JobDocument, "_id" | "state">): JobState {
    return this.#states.stateOf(_id) ?? state;
  }

  /** @throws SluiceError */
  async insert(job: Job): Promise<"inserted" | "exists"> {
    const answer = await this.#insert("jobs", jobDocument(job));
    // An id that exists after a try without an answer counts as ours: adding a job to the queue twice does no harm.
    return answer === "exists" ? "exists" : "inserted";
  }

  async get(jobId: JobId): Promise<JobRecord | undefined> {
    const loaded = await this.#loads.add(jobId);
    if (!loaded) return undefined;
    const { job, attempts, outcome } = loaded;
    const record: JobRecord = { job: jobOf(job), state: stateOf(loaded), attempts };
    if (outcome) {
      record.outcome = outcomeOf(outcome);
      if (!job.ended) await this.heal(outcome);
    }
    return record;
  }

  /** Most attempts are the first of their job, so others are read only if the number is taken. */
  async begin(begin: BeginAttempt): Promise<BeginResult> {
    for (let loads = this.#bareLoads; ; loads = this.#loads) {
      const loaded = await loads.add(begin.jobId);
      if (loaded?.job.environment !== begin.environment) return { status: "not_found" };
      const { job, attempts, outcome } = loaded;
      if (outcome) {
        if (!job.ended) await this.heal(outcome);
        return { status: "ended", outcome: outcomeOf(outcome) };
      }

      if (loaded.closing) {
        const { outcome: winning } = await this.finish(begin.environment, loaded.closing);
        return { status: "ended", outcome: winning };
      }

      const repeated = attempts.findIndex((a) => a.grant === begin.grant);
      if (repeated >= 0) {
        await this.#cacheState(job, stateOf(loaded));
        const earlier = attempts.slice(0, repeated);
        return { status: "begun", job: jobOf(job), attempt: attempts[repeated]!, earlier };
      }

      const head = headOf(job);
      const allowed = mayTry(head, attempts, begin.maxFailedTries);
      if (!allowed.ok) return { status: "refused", error: allowed.error };

      const attempt = attemptDocument(begin, head, (attempts.at(-1)?.n ?? 0) + 1);
      if ((await this.#insert("attempts", attempt)) === "inserted") {
        // `ended` is set too: if an outcome came first, the walks find the job and end it again.
        // The call does not wait for this write. The next event of the job sets a state that lags.
        this.#states.set(begin.jobId, { state: "in_progress", ended: false }).catch(() => {});
        return { status: "begun", job: jobOf(job), attempt: attemptOf(attempt), earlier: attempts };
      }
      // The number is taken by another grant, which leaves the next number, or by an earlier try of this call.
    }
  }

  async end(environment: string, jobId: JobId, n: number, end: AttemptEnd): Promise<void> {
    const before = await this.#loads.add(jobId);
    const attempt = before?.attempts.find((a) => a.n === n);
    if (!before || !attempt || before.job.environment !== environment) return;
    if (!attempt.end) await this.#insert("attempt_ends", attemptEndDocument(jobId, n, end));
    else if (before.outcome && !before.job.ended) await this.heal(before.outcome);
    if (before.outcome) return;
    // Other attempts may have begun or ended meanwhile, so read again.
    const after = await this.#loads.add(jobId);
    if (after && !after.outcome) await this.#cacheState(after.job, stateOf(after));
  }

  /** @throws SluiceError `job_not_found` */
  async finish(environment: string, outcome: Outcome, attempt?: { n: number; end: AttemptEnd }): Promise<FinishResult> {
    const { jobId } = outcome;
    if ((await this.#environments.add(jobId)) !== environment) {
      throw new SluiceError("job_not_found", `There is no job ${jobId} in ${environment}.`, { jobId });
    }
    const document = outcomeDocument(environment, outcome, attempt);
    if ((await this.#insert("outcomes", document)) === "inserted") {
      await this.heal(document);
      return { first: true, outcome };
    }

    const outcomes = this.#db.collection<OutcomeDocument>("outcomes");
    const stands = await find((limited) => outcomes.findOne({ _id: jobId }, limited));
    if (!stands) throw new SluiceError("unavailable", `The outcome of job ${jobId} exists but cannot be read.`);
    // An attempt whose answer came too late has ended as well.
    if (attempt && stands.attempt_end?.n !== attempt.n) {
      await this.#insert("attempt_ends", attemptEndDocument(jobId, attempt.n, attempt.end));
    }
    await this.heal(stands);
    const winning = outcomeOf(stands);
    return { first: isDeepStrictEqual(winning, outcomeOf(document)), outcome: winning };
  }

  /**
   * Ends a job without an open attempt. The first insert of the next number decides whether a call starts or the job ends.
   * @throws SluiceError `job_not_found`
   */
  async finishIdle(environment: string, outcome: Outcome): Promise<FinishResult | undefined> {
    const { jobId } = outcome;
    for (;;) {
      const loaded = await this.#loads.add(jobId);
      // A job that has ended, is closed or does not exist gets the same answer as from any other end.
      if (loaded?.job.environment !== environment || loaded.outcome) return this.finish(environment, outcome);
      const { attempts, closing } = loaded;
      if (closing) {
        const result = await this.finish(environment, closing);
        return { ...result, first: result.first && isDeepStrictEqual(closing, outcome) };
      }
      if (attempts.some((attempt) => !attempt.end)) return undefined;
      await this.#insert("attempts", closingDocument(outcome, (attempts.at(-1)?.n ?? 0) + 1));
    }
  }

  /**
   * Erases texts: the only change of documents that otherwise never change. FerretDB may lose one of several concurrent
   * updates of a document, so the update is read back.
   * @throws SluiceError
   */
  async erase(environment: string, jobId: JobId, erasure: Erasure): Promise<void> {
    for (let tries = 1; ; tries++) {
      const loaded = await this.#loads.add(jobId);
      if (loaded?.job.environment !== environment || !loaded.outcome) return;
      const { job, outcome } = loaded;
      const request = JSON.stringify(erasedRequest(requestOf(job)));
      const head = JSON.stringify(erasedHead(headOf(job), erasure));
      const erased = erasedOutcome(outcomeOf(outcome), erasure);
      const { text, details } = outcomeDocument(environment, erased);
      const isErased = job.ended && job.request === request && job.head === head;
      if (isErased && outcome.details === details && (outcome.text ?? "") === "") return;
      if (tries > maxUpdateTries) {
        throw new SluiceError("unavailable", `The texts of job ${jobId} could not be erased.`, { jobId });
      }
      if (!job.ended) await this.heal(outcome);
      const { attempt_end: lastEnd } = outcome;
      const attempt_end = erasure === "all" && lastEnd && { ...lastEnd, end: silent(JSON.parse(lastEnd.end)) };
      if (erasure === "all") await this.#silence(loaded);
      await Promise.all([
        setFields(this.#db, "outcomes", jobId, {
          details,
          ...(text !== undefined && { text }),
          ...(attempt_end && { attempt_end }),
        }),
        setFields(this.#db, "generated_texts", jobId, { text: "" }),
      ]);
      // The head goes last: it says that everything else is erased.
      await setFields(this.#db, "jobs", jobId, { request, head, ...(erased.error && { error: erased.error }) });
    }
  }

  /** Removes the messages of the provider from the ends of a job's attempts. */
  async #silence({ job, attempts, outcome }: LoadedJob): Promise<void> {
    if (outcome?.attempt_end) await this.#insert("attempt_ends", outcome.attempt_end);
    for (const { n, end } of attempts) {
      if (end?.error) await setFields(this.#db, "attempt_ends", attemptKey(job._id, n), { end: silent(end) });
    }
  }

  /**
   * Removes a job. Its texts are erased first, so that a crash in between leaves none behind. The job's own document goes
   * next: without it nothing else is read, and a job without its outcome would run again.
   * @throws SluiceError
   */
  async remove(environment: string, jobId: JobId): Promise<void> {
    const loaded = await this.#loads.add(jobId);
    if (loaded?.job.environment !== environment || !loaded.outcome) return;
    await this.erase(environment, jobId, "all");
    for (const collection of ["jobs", "generated_texts", "outcomes"]) {
      await removeDocuments(this.#db, collection, [jobId]);
    }
  }

  /**
   * Changes a job. FerretDB may lose one of several concurrent updates of a document, so the update is read back.
   * @throws SluiceError
   */
  async update(environment: string, jobId: JobId, change: JobChange): Promise<JobHead | undefined> {
    for (let tries = 1; ; tries++) {
      const loaded = await this.#loads.add(jobId);
      if (loaded?.job.environment !== environment || loaded.outcome) return undefined;
      const now = headOf(loaded.job);
      const head = changedHead(now, change);
      if (isDeepStrictEqual(now, head) && loaded.job.priority === head.priority) return head;
      if (tries > maxUpdateTries) {
        throw new SluiceError("unavailable", `The job ${jobId} could not be changed.`, { jobId });
      }
      const { priority } = head;
      await setFields(this.#db, "jobs", jobId, { head: JSON.stringify(head), priority });
    }
  }

  /**
   * Writes what is derived from an outcome. Never fails: the outcome is stored, so the answer to the caller is the same,
   * and the next operation that reads the job writes it again.
   */
  async heal(outcome: OutcomeDocument): Promise<void> {
    const known = this.#states.stateOf(outcome._id);
    // This process is about to write the last part.
    if (known !== undefined && isFinal(known)) return;
    try {
      const text = generatedTextDocument(outcome);
      await Promise.all([
        text && this.#insert("generated_texts", text),
        outcome.attempt_end && this.#insert("attempt_ends", outcome.attempt_end),
      ]);
      const { status, finished_at } = outcome;
      const { error } = outcomeOf(outcome);
      await this.#states.set(outcome._id, { state: status, ended: true, finished_at, ...(error && { error }) });
    } catch {
      // The next operation that reads the job writes it again.
    }
  }

  #insert(collection: Collection, document: Document): Promise<InsertAnswer> {
    return this.#inserts.get(collection)!.add(document);
  }

  /** Sets the cached state. Never fails: the next event of the job sets a state that lags. */
  async #cacheState(job: JobDocument, state: JobState): Promise<void> {
    if (this.cachedState(job) === state) return;
    // As for an attempt, `ended` is set too.
    await this.#states.set(job._id, { state, ended: false }).catch(() => {});
  }
}

/** Returns the JSON of an attempt's end without the provider's message. */
function silent(end: AttemptEnd): string {
  return JSON.stringify(silentEnd(end));
}

function stateOf({ attempts, outcome }: LoadedJob): JobState {
  if (outcome) return outcome.status;
  return attempts.some((attempt) => !attempt.end) ? "in_progress" : "queued";
}

/** Returns the length of a document's own strings, which are nearly all of it. */
function textIn(document: Document): number {
  let length = 0;
  for (const value of Object.values(document)) if (typeof value === "string") length += value.length;
  return length;
}
