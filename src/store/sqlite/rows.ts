// How jobs, attempts and outcomes are stored in the tables. What people filter or read by is a column; the rest is JSON.
import type { Attempt, AttemptEnd, FinalState, Job, JobHead, JobState, JobSummary, Outcome } from "../../domain/job.ts";
import { outcomeFromRecord, requestFromJson } from "../stored-forms.ts";

/**
 * New jobs in the form that the writer's thread gets. The form is flat: copying a job between threads then takes 0.5 us,
 * and 1.3 us as an object with nine keys.
 */
export interface NewJobRows {
  /** The values of `newJobColumns`, job after job. */
  values: (string | number | null)[];
  /** The JSON of the request of each job. */
  requests: string[];
}

/** The columns of a new job. `job_id` is one of them; see `jobIdAt`. */
export const newJobColumns = [
  "environment",
  "submitted_at",
  "job_id",
  "tenant",
  "priority",
  "model",
  "expires_at",
  "head",
];
export const environmentAt = 0;
export const jobIdAt = 2;

export function newJobRows(jobs: readonly Job[]): NewJobRows {
  const values: NewJobRows["values"] = [];
  const requests: string[] = [];
  for (const job of jobs) {
    const { environment, submittedAt, id, tenant, priority, model, expiresAt = null } = job;
    // JSON omits keys that are undefined.
    const head = JSON.stringify({ ...job, request: undefined });
    values.push(environment, submittedAt, id, tenant, priority, model, expiresAt, head);
    requests.push(JSON.stringify(job.request));
  }
  return { values, requests };
}

export function jobOf(head: string, request: string): Job {
  return { ...JSON.parse(head), request: requestFromJson(request) };
}

/** A row of a list. `submitted_at` and `job_id` are its key. */
export interface JobRow {
  submitted_at: number;
  job_id: string;
  status: JobState;
  finished_at: number | null;
  error: string | null;
  head: string;
}

export function summaryOf(row: JobRow): JobSummary {
  const summary: JobSummary = { job: JSON.parse(row.head) as JobHead, state: row.status };
  if (row.finished_at !== null) summary.finishedAt = row.finished_at;
  if (row.error !== null) summary.error = JSON.parse(row.error);
  return summary;
}

export interface AttemptRow {
  job_id: string;
  n: number;
  grant_token: string;
  deployment: string;
  model: string;
  worker: string;
  charged_at: number;
  reserved_input: number;
  reserved_output: number;
  reserved_nano_usd: number | null;
  ending: string | null;
}

export const attemptColumns =
  "job_id, n, grant_token, deployment, model, worker, charged_at, reserved_input, reserved_output, reserved_nano_usd, ending";

export function attemptOf(row: AttemptRow): Attempt {
  const attempt: Attempt = {
    jobId: row.job_id,
    n: row.n,
    grant: row.grant_token,
    deployment: row.deployment,
    model: row.model,
    worker: row.worker,
    chargedAt: row.charged_at,
    reserved: { input: row.reserved_input, output: row.reserved_output },
  };
  if (row.reserved_nano_usd !== null) attempt.reservedNanoUsd = row.reserved_nano_usd;
  if (row.ending !== null) attempt.end = JSON.parse(row.ending) as AttemptEnd;
  return attempt;
}

export interface OutcomeRow {
  job_id: string;
  status: FinalState;
  finished_at: number;
  deployment: string | null;
  model: string | null;
  text: string | null;
  details: string;
}

export const outcomeColumns = "job_id, status, finished_at, deployment, model, text, details";

export function outcomeRow(outcome: Outcome): OutcomeRow {
  const { jobId, status, at, deployment, model, text, ...details } = outcome;
  return {
    job_id: jobId,
    status,
    finished_at: at,
    deployment: deployment ?? null,
    model: model ?? null,
    text: text ?? null,
    details: JSON.stringify(
      text !== undefined && unfitForColumn.test(text) ? { ...details, exactText: text } : details,
    ),
  };
}

/**
 * Characters that a text column changes: NUL cuts the text short (in the npm package), and half a surrogate pair is not
 * UTF-8. A model can generate both. Such an answer is stored a second time as JSON, where both are escaped.
 */
const unfitForColumn = /[\0\p{Surrogate}]/u;

export function outcomeOf(row: OutcomeRow): Outcome {
  const { exactText, ...details } = JSON.parse(row.details) as Partial<Outcome> & { exactText?: string };
  const outcome: Outcome = { jobId: row.job_id, status: row.status, at: row.finished_at, ...details };
  if (row.text !== null) outcome.text = exactText ?? row.text;
  if (row.deployment !== null) outcome.deployment = row.deployment;
  if (row.model !== null) outcome.model = row.model;
  return outcomeFromRecord(outcome);
}
