// The port in memory, as simple as it can be said: what the adapters are compared with.
import { mayTry } from "../../../src/domain/attempts.ts";
import {
  type Attempt,
  type AttemptEnd,
  isFinal,
  type Job,
  type JobState,
  type Outcome,
} from "../../../src/domain/job.ts";
import type {
  AttemptsQuery,
  BeginAttempt,
  BeginResult,
  FinishResult,
  ListQuery,
  UnfinishedQuery,
} from "../../../src/store/job-store.ts";

export class ModelStore {
  readonly jobs = new Map<string, Job>();
  readonly attempts: Attempt[] = [];
  readonly outcomes = new Map<string, Outcome>();

  insertMany(jobs: readonly Job[]): ("inserted" | "exists")[] {
    return jobs.map((job) => {
      if (this.jobs.has(job.id)) return "exists";
      this.jobs.set(job.id, job);
      return "inserted";
    });
  }

  attemptsOf(jobId: string): Attempt[] {
    return this.attempts.filter((a) => a.jobId === jobId);
  }

  stateOf(jobId: string): JobState {
    const outcome = this.outcomes.get(jobId);
    if (outcome) return outcome.status;
    return this.attemptsOf(jobId).some((a) => a.end === undefined) ? "in_progress" : "queued";
  }

  beginAttempt({ environment, maxFailedTries, ...begin }: BeginAttempt): BeginResult {
    const job = this.jobs.get(begin.jobId);
    if (job?.environment !== environment) return { status: "not_found" };
    const outcome = this.outcomes.get(job.id);
    if (outcome) return { status: "ended", outcome };
    const attempts = this.attemptsOf(job.id);
    const repeated = attempts.find((a) => a.grant === begin.grant);
    if (repeated) return { status: "begun", job, attempt: repeated, earlier: attempts.slice(0, repeated.n - 1) };
    const allowed = mayTry(job, attempts, maxFailedTries);
    if (!allowed.ok) return { status: "refused", error: allowed.error };
    const attempt: Attempt = { ...begin, n: attempts.length + 1 };
    this.attempts.push(attempt);
    return { status: "begun", job, attempt: { ...attempt }, earlier: attempts };
  }

  endAttempt(environment: string, jobId: string, n: number, end: AttemptEnd): void {
    if (this.jobs.get(jobId)?.environment !== environment) return;
    const attempt = this.attemptsOf(jobId)[n - 1];
    if (attempt) attempt.end ??= end;
  }

  /** The outcomes of the runs are all different. */
  finish(environment: string, outcome: Outcome, attempt?: { n: number; end: AttemptEnd }): FinishResult | "not_found" {
    if (this.jobs.get(outcome.jobId)?.environment !== environment) return "not_found";
    if (attempt) this.endAttempt(environment, outcome.jobId, attempt.n, attempt.end);
    const stands = this.outcomes.get(outcome.jobId);
    if (stands) return { first: false, outcome: stands };
    this.outcomes.set(outcome.jobId, outcome);
    return { first: true, outcome };
  }

  finishIdle(environment: string, outcome: Outcome): FinishResult | undefined | "not_found" {
    return this.stateOf(outcome.jobId) === "in_progress" && this.jobs.get(outcome.jobId)?.environment === environment
      ? undefined
      : this.finish(environment, outcome);
  }

  list(query: Omit<ListQuery, "limit">): { id: string; state: JobState; finishedAt: number | undefined }[] {
    return this.#matching(query)
      .filter((job) => query.tenant === undefined || job.tenant === query.tenant)
      .filter((job) => query.model === undefined || job.model === query.model)
      .filter((job) => query.priority === undefined || job.priority === query.priority)
      .filter((job) => query.state === undefined || this.stateOf(job.id) === query.state)
      .map((job) => ({ id: job.id, state: this.stateOf(job.id), finishedAt: this.outcomes.get(job.id)?.at }))
      .reverse();
  }

  unfinished(query: Omit<UnfinishedQuery, "limit">): { id: string; state: JobState }[] {
    const until = query.expiresUntil;
    return this.#matching(query)
      .filter((job) => until === undefined || (job.expiresAt !== undefined && job.expiresAt <= until))
      .map((job) => ({ id: job.id, state: this.stateOf(job.id) }))
      .filter(({ state }) => !isFinal(state));
  }

  attemptsSince({ chargedFrom }: Pick<AttemptsQuery, "chargedFrom">): Attempt[] {
    return this.attempts
      .filter((a) => a.chargedAt >= chargedFrom)
      .sort((a, b) => a.chargedAt - b.chargedAt || compare(a.jobId, b.jobId) || a.n - b.n);
  }

  /** Oldest first. */
  #matching(query: { environment?: string; submittedFrom?: number; submittedTo?: number }): Job[] {
    return [...this.jobs.values()]
      .filter((job) => query.environment === undefined || job.environment === query.environment)
      .filter((job) => query.submittedFrom === undefined || job.submittedAt >= query.submittedFrom)
      .filter((job) => query.submittedTo === undefined || job.submittedAt < query.submittedTo)
      .sort((a, b) => a.submittedAt - b.submittedAt || compare(a.id, b.id));
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
