// The jobs of one database: the operations that decide something, and the derived documents that follow.
//
// What is true stands in documents that are inserted once, under an `_id` that says what they decide, and never change:
//
//   jobs          {job}      what was asked
//   attempts      {job}/{n}  a call is about to be made; or none will be any more, and how the job ends (a closing)
//   attempt_ends  {job}/{n}  how it ended, if the job went on
//   outcomes      {job}      how the job ended, together with the end of the attempt that led to it
//
// Derived from these, for lists, counts, scans and people: `state`, `ended`, `finished_at` and `error` of the job, the
// end of the last attempt in `attempt_ends`, and `generated_texts`. A process can die between any two writes:
//
//   job | attempt          Queued, as if the worker had died before the attempt.
//   attempt | state        The state lags until the job's next attempt, end or outcome, which sets it anew; the attempt
//                          is open, and is found so by `get` and `beginAttempt`. Nobody who begins an attempt waits for it.
//   attempt | its end      Nobody knows how it ended: that is what an attempt without an end means.
//   end | state            As for an attempt.
//   closing | outcome      Queued. Whoever would begin the attempt that the closing stands for writes the outcome instead,
//                          as does whoever wants to end the job again.
//   outcome | attempt_ends, generated_texts | state, ended
//                          In this order, so that a job whose `ended` is true lacks nothing. One whose `ended` is false
//                          is checked against `outcomes` by whoever meets it (`get`, `beginAttempt`, a list, and above
//                          all the walks over unfinished jobs, which never stop), who then writes what is missing.
//
// Changes of `state` are not ordered among processes, and on FerretDB two concurrent updates of a document lose one of
// them even if they set different fields. Each such case is one of the above: `ended` is false and there is an outcome.
import { isDeepStrictEqual } from "node:util";
import type { Db, Document } from "mongodb";
import { mayTry } from "../../domain/attempts.ts";
import { SluiceError } from "../../domain/errors.ts";
import type { JobId } from "../../domain/ids.ts";
import {
  type AttemptEnd,
  erasedOutcome,
  erasedRequest,
  isFinal,
  type Job,
  type JobHead,
  type JobRecord,
  type JobState,
  type Outcome,
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
import { Group } from "./group.ts";
import type { Collection } from "./indexes.ts";
import { JobLoads, type LoadedJob } from "./job-loads.ts";
import { find } from "./reads.ts";
import { StateCache } from "./state-cache.ts";

/** Documents in one command. A thousand small ones are inserted in 20 to 50 ms; more would only make others wait. */
const maxBatch = 1_000;
/** UTF-16 units in one insert command, which holds 16 MB at most. An answer or a prompt may have 3 bytes for each. */
const maxBatchText = 4_000_000;

const maxUpdateTries = 5;

export class JobDatabase {
  readonly #db: Db;
  readonly #inserts = new Map<Collection, Group<Document, InsertAnswer>>();
  readonly #states: StateCache;
  /** With everything that is on record about a job. */
  readonly #loads: Group<JobId, LoadedJob | undefined>;
  /** As if there were no attempts. */
  readonly #bareLoads: Group<JobId, LoadedJob | undefined>;
  readonly #environments: Group<JobId, string | undefined>;

  constructor(db: Db) {
    this.#db = db;
    for (const collection of ["jobs", "attempts", "attempt_ends", "outcomes", "generated_texts"] as const) {
      const run = (documents: Document[]) => insertDocuments(db, collection, documents);
      this.#inserts.set(collection, new Group(run, { maxItems: maxBatch, weigh: textIn, maxWeight: maxBatchText }));
    }
    this.#states = new StateCache(db);
    const loads = new JobLoads(db);
    this.#loads = new Group((jobIds) => loads.whole(jobIds), { maxItems: maxBatch });
    this.#bareLoads = new Group((jobIds) => loads.bare(jobIds), { maxItems: maxBatch });
    this.#environments = new Group((jobIds) => loads.environments(jobIds), { maxItems: maxBatch });
  }

  /** Resolves when what was decided here until now shows in lists and counts. */
  statesWritten(): Promise<void> {
    return this.#states.written();
  }

  /** The state of a job as it was read from the cache. */
  cachedState({ _id, state }: Pick<JobDocument, "_id" | "state">): JobState {
    return this.#states.stateOf(_id) ?? state;
  }

  /** @throws SluiceError */
  async insert(job: Job): Promise<"inserted" | "exists"> {
    const answer = await this.#insert("jobs", jobDocument(job));
    // An id that is there after a try without an answer is taken for ours: to add a job to the queue twice does no harm.
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

  /** Most attempts are the first one of their job: others are looked for only if its number is taken. */
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
        // `ended` goes with it: if an outcome came first, the job is found by the walks and ended again.
        // The call does not wait for it, and a state that lags is set anew by what happens to the job next.
        this.#states.set(begin.jobId, { state: "in_progress", ended: false }).catch(() => {});
        return { status: "begun", job: jobOf(job), attempt: attemptOf(attempt), earlier: attempts };
      }
      // The number is taken: by another grant, which leaves the next one, or by an earlier try of this very call.
    }
  }

  async end(environment: string, jobId: JobId, n: number, end: AttemptEnd): Promise<void> {
    const before = await this.#loads.add(jobId);
    const attempt = before?.attempts.find((a) => a.n === n);
    if (!before || !attempt || before.job.environment !== environment) return;
    if (!attempt.end) await this.#insert("attempt_ends", attemptEndDocument(jobId, n, end));
    else if (before.outcome && !before.job.ended) await this.heal(before.outcome);
    if (before.outcome) return;
    // Read again: other attempts may have begun or ended meanwhile.
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
    // Whose answer came too late was a call as well, and it did end.
    if (attempt && stands.attempt_end?.n !== attempt.n) {
      await this.#insert("attempt_ends", attemptEndDocument(jobId, attempt.n, attempt.end));
    }
    await this.heal(stands);
    const winning = outcomeOf(stands);
    return { first: isDeepStrictEqual(winning, outcomeOf(document)), outcome: winning };
  }

  /**
   * Whether a call starts and whether the job ends without it is decided by who inserts the next number.
   * @throws SluiceError `job_not_found`
   */
  async finishIdle(environment: string, outcome: Outcome): Promise<FinishResult | undefined> {
    const { jobId } = outcome;
    for (;;) {
      const loaded = await this.#loads.add(jobId);
      // What is there and ended or closed, and what is not there, is told as by any other end.
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
   * The only change of what is otherwise never changed. Of concurrent updates of one document FerretDB may lose one, so
   * it is looked whether this one was.
   * @throws SluiceError
   */
  async erase(environment: string, jobId: JobId): Promise<void> {
    for (let tries = 1; ; tries++) {
      const loaded = await this.#loads.add(jobId);
      if (loaded?.job.environment !== environment || !loaded.outcome) return;
      const { job, outcome } = loaded;
      const request = JSON.stringify(erasedRequest(requestOf(job)));
      const { text, details } = outcomeDocument(environment, erasedOutcome(outcomeOf(outcome)));
      if (job.ended && job.request === request && outcome.details === details && (outcome.text ?? "") === "") return;
      if (tries > maxUpdateTries) {
        throw new SluiceError("unavailable", `The texts of job ${jobId} could not be erased.`, { jobId });
      }
      if (!job.ended) await this.heal(outcome);
      await Promise.all([
        setFields(this.#db, "jobs", jobId, { request }),
        setFields(this.#db, "outcomes", jobId, { details, ...(text !== undefined && { text }) }),
        setFields(this.#db, "generated_texts", jobId, { text: "" }),
      ]);
    }
  }

  /**
   * The job goes first: without it nothing else is read, and one without its outcome would run again. Texts are erased
   * before, so that a crash in between leaves none behind.
   * @throws SluiceError
   */
  async remove(environment: string, jobId: JobId): Promise<void> {
    const loaded = await this.#loads.add(jobId);
    if (loaded?.job.environment !== environment || !loaded.outcome) return;
    await this.erase(environment, jobId);
    const { attempt_end: lastEnd } = loaded.outcome;
    if (lastEnd) await this.#insert("attempt_ends", lastEnd);
    for (const { n, end } of loaded.attempts) {
      if (!end?.error) continue;
      const { error: _, ...silent } = end;
      await setFields(this.#db, "attempt_ends", attemptKey(jobId, n), { end: JSON.stringify(silent) });
    }
    for (const collection of ["jobs", "generated_texts", "outcomes"]) {
      await removeDocuments(this.#db, collection, [jobId]);
    }
  }

  /**
   * Of concurrent updates of one document FerretDB may lose one, so it is looked whether this one was.
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
   * Writes what is derived from an outcome. Never fails: the outcome is on record, so the caller's answer is the same,
   * and whoever meets the job next does it again.
   */
  async heal(outcome: OutcomeDocument): Promise<void> {
    const known = this.#states.stateOf(outcome._id);
    // This process is about to write the last of it.
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
      // See above.
    }
  }

  #insert(collection: Collection, document: Document): Promise<InsertAnswer> {
    return this.#inserts.get(collection)!.add(document);
  }

  /** Never fails: a state that lags is set anew by what happens to the job next. */
  async #cacheState(job: JobDocument, state: JobState): Promise<void> {
    if (this.cachedState(job) === state) return;
    // `ended` as above.
    await this.#states.set(job._id, { state, ended: false }).catch(() => {});
  }
}

function stateOf({ attempts, outcome }: LoadedJob): JobState {
  if (outcome) return outcome.status;
  return attempts.some((attempt) => !attempt.end) ? "in_progress" : "queued";
}

/** The text in a document's own strings, which is nearly all of it. */
function textIn(document: Document): number {
  let length = 0;
  for (const value of Object.values(document)) if (typeof value === "string") length += value.length;
  return length;
}
