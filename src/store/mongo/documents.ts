// How jobs, attempts and outcomes are stored in MongoDB. What people filter or read by is a field of its own, with
// times as dates; the rest is JSON in a string. A request holds keys and text that BSON, or servers that speak
// MongoDB's protocol, change or refuse. Examples are `$schema` and dots in the keys of a tool's schema, or half a
// surrogate pair.
//
// Every document has the version of its form in `schema`. Fields that this version does not know are kept: documents
// are changed only by `$set` and never rewritten.
import type {
  Attempt,
  AttemptEnd,
  FinalState,
  Job,
  JobError,
  JobHead,
  JobState,
  JobSummary,
  Outcome,
} from "../../domain/job.ts";
import type { JobRequest } from "../../domain/request.ts";
import type { BeginAttempt } from "../job-store.ts";
import { outcomeFromRecord, requestFromJson } from "../stored-forms.ts";

const schema = 1;

/** A job. `_id` is the job's id. */
export interface JobDocument {
  _id: string;
  schema: number;
  environment: string;
  tenant: string;
  priority: string;
  model: string;
  submitted_at: Date;
  expires_at?: Date;
  /** JSON: the job without its request. */
  head: string;
  /** JSON: messages, system, tools, parameters. */
  request: string;
  /** The fields from here on cache what attempts and outcomes say, see job-database.ts. */
  state: JobState;
  ended: boolean;
  finished_at?: Date;
  error?: JobError;
}

/** An attempt. `_id` is `{job}/{n}`. */
export interface AttemptDocument {
  _id: string;
  schema: number;
  environment: string;
  job_id: string;
  n: number;
  grant: string;
  /** The owner of the job, copied here so that usage can be added up after the job is deleted. */
  tenant: string;
  key_id?: string;
  deployment: string;
  model: string;
  worker: string;
  charged_at: Date;
  /** Tokens, and their cost in billionths of a US dollar if a price is known. */
  reserved: { input: number; output: number; nano_usd?: number };
}

/**
 * Occupies the number after the last attempt: no further attempt can begin, and the job ends as the closing says. It
 * has no time of charge, so reads of charges skip it.
 */
export interface ClosingDocument {
  _id: string;
  schema: number;
  job_id: string;
  n: number;
  /** JSON: the whole outcome. */
  closing: string;
}

/** The end of an attempt. `_id` is `{job}/{n}`, as that of the attempt. */
export interface AttemptEndDocument {
  _id: string;
  schema: number;
  job_id: string;
  n: number;
  result: string;
  at: Date;
  /** JSON: the result with usage, error and durations. */
  end: string;
}

/** The outcome of a job. `_id` is the job's id. */
export interface OutcomeDocument {
  _id: string;
  schema: number;
  environment: string;
  status: FinalState;
  finished_at: Date;
  deployment?: string;
  model?: string;
  /** The generated text. */
  text?: string;
  /** JSON: the whole outcome, without the text if the field above holds it exactly. */
  details: string;
  /** The end of the attempt that led to the outcome, until it is in `attempt_ends` too. */
  attempt_end?: AttemptEndDocument;
}

/**
 * The generated text of a job. `_id` is the job's id. Derived from outcomes, for people who read answers in the
 * database.
 */
export interface GeneratedTextDocument {
  _id: string;
  schema: number;
  job_id: string;
  text: string;
  environment: string;
  model?: string;
  deployment?: string;
  finish_reason?: string;
  created_at: Date;
}

export function jobDocument(job: Job): JobDocument {
  const { request, ...head } = job;
  return {
    _id: job.id,
    schema,
    environment: job.environment,
    tenant: job.tenant,
    priority: job.priority,
    model: job.model,
    submitted_at: dateOf(job.submittedAt),
    ...(job.expiresAt !== undefined && { expires_at: dateOf(job.expiresAt) }),
    head: JSON.stringify(head),
    request: JSON.stringify(request),
    state: "queued",
    ended: false,
  };
}

export function headOf(document: Pick<JobDocument, "head">): JobHead {
  return JSON.parse(document.head) as JobHead;
}

export function requestOf(document: Pick<JobDocument, "request">): JobRequest {
  return requestFromJson(document.request);
}

export function jobOf(document: JobDocument): Job {
  return { ...headOf(document), request: requestOf(document) };
}

/** Returns the summary that the cached fields show. */
export function summaryOf(document: Omit<JobDocument, "request">): JobSummary {
  const summary: JobSummary = { job: headOf(document), state: document.state };
  if (document.finished_at) summary.finishedAt = document.finished_at.getTime();
  if (document.error) summary.error = document.error;
  return summary;
}

export function attemptKey(jobId: string, n: number): string {
  return `${jobId}/${n}`;
}

export function attemptDocument(
  begin: BeginAttempt,
  { tenant, keyId }: Pick<JobHead, "tenant" | "keyId">,
  n: number,
): AttemptDocument {
  const { environment, jobId, grant, deployment, model, worker, chargedAt, reserved, reservedNanoUsd } = begin;
  return {
    _id: attemptKey(jobId, n),
    schema,
    environment,
    job_id: jobId,
    n,
    grant,
    tenant,
    ...(keyId !== undefined && { key_id: keyId }),
    deployment,
    model,
    worker,
    charged_at: dateOf(chargedAt),
    reserved: {
      input: reserved.input,
      output: reserved.output,
      ...(reservedNanoUsd !== undefined && { nano_usd: reservedNanoUsd }),
    },
  };
}

export function closingDocument(outcome: Outcome, n: number): ClosingDocument {
  const { jobId } = outcome;
  return { _id: attemptKey(jobId, n), schema, job_id: jobId, n, closing: JSON.stringify(outcome) };
}

export function attemptOf(document: AttemptDocument, end?: AttemptEndDocument): Attempt {
  return {
    jobId: document.job_id,
    n: document.n,
    grant: document.grant,
    deployment: document.deployment,
    model: document.model,
    worker: document.worker,
    chargedAt: document.charged_at.getTime(),
    reserved: { input: document.reserved.input, output: document.reserved.output },
    ...(document.reserved.nano_usd !== undefined && { reservedNanoUsd: document.reserved.nano_usd }),
    ...(end && { end: JSON.parse(end.end) as AttemptEnd }),
  };
}

export function attemptEndDocument(jobId: string, n: number, end: AttemptEnd): AttemptEndDocument {
  const { result, at } = end;
  return { _id: attemptKey(jobId, n), schema, job_id: jobId, n, result, at: dateOf(at), end: JSON.stringify(end) };
}

export function outcomeDocument(
  environment: string,
  outcome: Outcome,
  attempt?: { n: number; end: AttemptEnd },
): OutcomeDocument {
  const { jobId, status, at, deployment, model, text, ...rest } = outcome;
  const exact = text === undefined || !halfSurrogate.test(text);
  const details = { ...rest, jobId, status, at, deployment, model, ...(!exact && { text }) };
  return {
    _id: jobId,
    schema,
    environment,
    status,
    finished_at: dateOf(at),
    ...(deployment !== undefined && { deployment }),
    ...(model !== undefined && { model }),
    ...(text !== undefined && { text }),
    details: JSON.stringify(details),
    ...(attempt && { attempt_end: attemptEndDocument(jobId, attempt.n, attempt.end) }),
  };
}

/**
 * Half of a surrogate pair is not UTF-8: a BSON string would change it to another character. A model can generate it.
 */
const halfSurrogate = /\p{Surrogate}/u;

export function outcomeOf(document: OutcomeDocument): Outcome {
  const details = outcomeFromRecord(JSON.parse(document.details) as Outcome);
  return document.text === undefined ? details : { text: document.text, ...details };
}

/** Returns undefined for an outcome without an answer. */
export function generatedTextDocument(document: OutcomeDocument): GeneratedTextDocument | undefined {
  if (document.status !== "completed") return undefined;
  const { finishReason } = outcomeOf(document);
  return {
    _id: document._id,
    schema,
    job_id: document._id,
    text: document.text ?? "",
    environment: document.environment,
    ...(document.model !== undefined && { model: document.model }),
    ...(document.deployment !== undefined && { deployment: document.deployment }),
    ...(finishReason !== undefined && { finish_reason: finishReason }),
    created_at: document.finished_at,
  };
}

/** The range of a date. Times beyond it become the earliest or the latest date. */
const furthestMs = 8.64e15;

export function dateOf(ms: number): Date {
  return new Date(Math.max(-furthestMs, Math.min(furthestMs, ms)));
}
