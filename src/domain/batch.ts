// A batch: jobs submitted together as the lines of one file. Its progress is stored as steps, each written once under
// its own id. The status is derived from the stored steps:
//
//     validating -> failed                                      (the file is invalid; no job was created)
//     validating -> in_progress -> finalizing -> completed | expired
//     validating | in_progress -> cancelling -> cancelled
//
// The lines are ordinary jobs. Their ids consist of the batch's id and the line number. So submitting a line twice
// creates one job, and the jobs of a batch can be read by line without an index.
import { createHash } from "node:crypto";
import { v7 } from "uuid";
import { type JobId, newJobId } from "./ids.ts";
import type { Priority } from "./job.ts";
import type { TraceContext } from "./trace-context.ts";

/**
 * `batch_` and 24 hexadecimal digits, with which the UUIDs of its jobs begin. Sorting ids sorts by time of creation.
 */
export type BatchId = string;

export const batchStatuses = [
  "validating",
  "failed",
  "in_progress",
  "finalizing",
  "completed",
  "expired",
  "cancelling",
  "cancelled",
] as const;
export type BatchStatus = (typeof batchStatuses)[number];

/** What the caller asked for. Never changes. */
export interface BatchRequest {
  id: BatchId;
  environment: string;
  /** Tenant that submits the lines; see `Caller`. */
  tenant: string;
  keyId?: string;
  priorityMax?: Priority;
  regions?: readonly string[];
  /** Path of the API that each line calls. */
  endpoint: string;
  inputFileId: string;
  /** Window as the caller wrote it, such as `24h`. */
  completionWindow: string;
  /** Time of submission of every line, in milliseconds since the epoch. */
  createdAt: number;
  /** Deadline in milliseconds since the epoch. */
  expiresAt: number;
  metadata?: Record<string, string>;
  /** The batch whose failed lines this batch repeats. */
  retryOf?: BatchId;
  /** Address that the end of the batch is posted to. */
  webhookUrl?: string;
  /** Milliseconds after which the output and error file are deleted. Absent: never. */
  outputExpiresInMs?: number;
  /** Trace that the lines are linked to: the submitter's, or the span of the batch's acceptance. */
  trace?: TraceContext;
}

/** A mistake in the file. `line` counts from 1 and is absent if the mistake concerns the whole file. */
export interface BatchError {
  code: string;
  message: string;
  line?: number;
  /** The field at fault. */
  param?: string;
}

/** The stored steps of a batch. */
export interface BatchSteps {
  /**
   * The batch failed if there are errors. `lines` is the number of requests in the file, `lastLine` the number of the
   * last one.
   */
  validated?: { at: number; lines: number; lastLine: number; errors: BatchError[] };
  cancelled?: { at: number };
  /** Every line has a job, except for the `refused` ones that were no longer acceptable when they were submitted. */
  submitted?: { at: number; refused: number };
  finalizing?: { at: number };
  ended?: BatchEnd;
}

/** How a batch ended. */
export interface BatchEnd {
  at: number;
  status: "completed" | "expired" | "cancelled";
  counts: LineCounts;
  /** Absent if the file would have no line. */
  outputFileId?: string;
  errorFileId?: string;
  /**
   * Usage of all completed lines. `cached` is part of the input, `reasoning` of the output (absent in older records).
   */
  usage: { input: number; cached: number; output: number; reasoning?: number };
  /** Cost of all lines with a known price, estimates included, in billionths of a US dollar. */
  costNanoUsd: number;
  /** The estimated part of `costNanoUsd`. Absent if nothing is estimated. */
  estimatedNanoUsd?: number;
}

/** Ended lines by result. The other lines have not ended. */
export interface LineCounts {
  completed: number;
  failed: number;
  expired: number;
  cancelled: number;
}

/** Derives the status of a batch from its steps. */
export function batchStatus({ validated, cancelled, finalizing, ended }: BatchSteps): BatchStatus {
  if (ended) return ended.status;
  if (validated && validated.errors.length > 0) return "failed";
  if (cancelled) return "cancelling";
  if (!validated) return "validating";
  return finalizing ? "finalizing" : "in_progress";
}

const prefix = "batch_";
const keyDigits = 24;

/** Makes a new batch id. */
export function newBatchId(): BatchId {
  return prefix + bare(newJobId()).slice(0, keyDigits);
}

/** Returns the id of the batch that repeats the failed lines of another. The same batch always gets the same id. */
export function retryBatchId(batchId: BatchId, endedAt: number): BatchId {
  return prefix + bare(derivedId(`retry:${batchId}`, endedAt)).slice(0, keyDigits);
}

/** Whether a text has the form of a batch id. */
export function isBatchId(text: string): boolean {
  return /^batch_[0-9a-f]{24}$/.test(text);
}

/** Returns a UUIDv7 with the given time, whose other bits are a hash of the text. */
export function derivedId(text: string, at: number): string {
  return v7({ msecs: at, random: createHash("sha256").update(text).digest().subarray(0, 16) });
}

/**
 * Returns the id of a line's job.
 * @param line counts from 1
 */
export function lineJobId(batchId: BatchId, line: number): JobId {
  const key = batchId.slice(prefix.length);
  const last = key.slice(20) + line.toString(16).padStart(8, "0");
  return `${key.slice(0, 8)}-${key.slice(8, 12)}-${key.slice(12, 16)}-${key.slice(16, 20)}-${last}`;
}

/** Returns the line number of a batch's job. */
export function lineOf(jobId: JobId): number {
  return Number.parseInt(jobId.slice(-8), 16);
}

function bare(uuid: string): string {
  return uuid.replaceAll("-", "");
}
