// Reads many jobs at a time with their attempts, ends and outcomes. Results are in the order of the ids.
import type { Db } from "mongodb";
import { groupBy } from "../../domain/group-by.ts";
import type { JobId } from "../../domain/ids.ts";
import type { Attempt, Outcome } from "../../domain/job.ts";
import {
  type AttemptDocument,
  type AttemptEndDocument,
  attemptKey,
  attemptOf,
  type ClosingDocument,
  type JobDocument,
  type OutcomeDocument,
} from "./documents.ts";
import { findByIds } from "./reads.ts";

/** A job with its attempts, their ends and its outcome. */
export interface LoadedJob {
  job: JobDocument;
  attempts: Attempt[];
  /** How the job ends, if a closing has the number of its next attempt. */
  closing?: Outcome;
  outcome?: OutcomeDocument;
}

/** Number of attempts that the first read covers; most jobs have one. */
const firstNumbers = 2;

export class JobLoads {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  async environments(jobIds: readonly JobId[]): Promise<(string | undefined)[]> {
    const projection = { environment: 1 };
    const jobs = await findByIds<JobDocument>(this.#db, "jobs", [...new Set(jobIds)], projection);
    const byId = new Map(jobs.map((job) => [job._id, job.environment]));
    return jobIds.map((jobId) => byId.get(jobId));
  }

  /** Reads jobs and outcomes, without attempts. */
  async bare(jobIds: readonly JobId[]): Promise<(LoadedJob | undefined)[]> {
    const ids = [...new Set(jobIds)];
    const [jobs, outcomes] = await Promise.all([
      findByIds<JobDocument>(this.#db, "jobs", ids),
      findByIds<OutcomeDocument>(this.#db, "outcomes", ids),
    ]);
    const jobById = new Map(jobs.map((job) => [job._id, job]));
    const outcomeById = new Map(outcomes.map((outcome) => [outcome._id, outcome]));
    return jobIds.map((jobId) => {
      const job = jobById.get(jobId);
      const outcome = outcomeById.get(jobId);
      return job && { job, attempts: [], ...(outcome && { outcome }) };
    });
  }

  /** Reads jobs with all of their documents. */
  async whole(jobIds: readonly JobId[]): Promise<(LoadedJob | undefined)[]> {
    const ids = [...new Set(jobIds)];
    const [jobs, { attempts, closings, ends }, outcomes] = await Promise.all([
      findByIds<JobDocument>(this.#db, "jobs", ids),
      this.attemptsOf(ids),
      findByIds<OutcomeDocument>(this.#db, "outcomes", ids),
    ]);
    // The reads happen at different times. An end without an outcome may belong to an outcome that came in between.
    const ended = new Set(Array.from(ends.values(), (end) => end.job_id));
    for (const { _id } of outcomes) ended.delete(_id);
    if (ended.size > 0) outcomes.push(...(await findByIds<OutcomeDocument>(this.#db, "outcomes", [...ended])));

    const jobById = new Map(jobs.map((job) => [job._id, job]));
    const outcomeById = new Map(outcomes.map((outcome) => [outcome._id, outcome]));
    const attemptsById = groupBy(attempts, (attempt) => attempt.job_id);
    const closingById = new Map(closings.map(({ job_id, closing }) => [job_id, JSON.parse(closing) as Outcome]));
    return jobIds.map((jobId) => {
      const job = jobById.get(jobId);
      if (!job) return undefined;
      const outcome = outcomeById.get(jobId);
      const own = (attemptsById.get(jobId) ?? []).sort((a, b) => a.n - b.n);
      const endOf = ({ _id }: AttemptDocument) =>
        ends.get(_id) ?? (outcome?.attempt_end?._id === _id ? outcome.attempt_end : undefined);
      const closing = closingById.get(jobId);
      return {
        job,
        attempts: own.map((attempt) => attemptOf(attempt, endOf(attempt))),
        ...(closing && { closing }),
        ...(outcome && { outcome }),
      };
    });
  }

  /** Reads attempts, which are numbered without gaps: first the numbers that most jobs have, then twice as many, and so on. */
  async attemptsOf(
    jobIds: readonly JobId[],
  ): Promise<{ attempts: AttemptDocument[]; closings: ClosingDocument[]; ends: Map<string, AttemptEndDocument> }> {
    const attempts: AttemptDocument[] = [];
    const closings: ClosingDocument[] = [];
    const ends = new Map<string, AttemptEndDocument>();
    let open = jobIds;
    for (let from = 1, to = firstNumbers; open.length > 0; from = to + 1, to *= 2) {
      const numbers = Array.from({ length: to - from + 1 }, (_, i) => from + i);
      const keys = open.flatMap((jobId) => numbers.map((n) => attemptKey(jobId, n)));
      const [someAttempts, someEnds] = await Promise.all([
        findByIds<AttemptDocument | ClosingDocument>(this.#db, "attempts", keys),
        findByIds<AttemptEndDocument>(this.#db, "attempt_ends", keys),
      ]);
      for (const document of someAttempts) {
        if ("closing" in document) closings.push(document);
        else attempts.push(document);
      }
      for (const end of someEnds) ends.set(end._id, end);
      open = someAttempts.filter(({ n }) => n === to).map((attempt) => attempt.job_id);
    }
    return { attempts, closings, ends };
  }
}
