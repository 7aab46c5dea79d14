// A batch: jobs that were handed in together as the lines of one file. What happens to it is on record as steps, each
// written once under an id of its own; the status is derived from those that are there:
//
//   validating -> failed                                      (the file is at fault; no job was made)
//   validating -> in_progress -> finalizing -> completed | expired
//   validating | in_progress -> cancelling -> cancelled
//
// The lines are ordinary jobs. Their ids are made of the batch's and the number of the line, so that submitting a line
// twice makes one job, and the jobs of a batch can be walked by line without an index of their own.
import { createHash } from "node:crypto";
import { v7 } from "uuid";
import { type JobId, newJobId } from "./ids.ts";
import type { Priority } from "./job.ts";

/** `batch_` and 24 hexadecimal digits, which begin the UUIDs of its jobs. Sorting ids sorts by time of creation. */
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

/** What was asked for; never changes. */
export interface BatchRequest {
  id: BatchId;
  environment: string;
  /** As whom the lines are submitted, see `Caller`. */
  tenant: string;
  keyId?: string;
  priorityMax?: Priority;
  regions?: readonly string[];
  /** Path of the API that each line is a call of. */
  endpoint: string;
  inputFileId: string;
  /** As the caller wrote it, such as `24h`. */
  completionWindow: string;
  /** Milliseconds since the epoch: the time of submission of every line, and the deadline. */
  createdAt: number;
  expiresAt: number;
  metadata?: Record<string, string>;
  /** The batch whose failed lines these are. */
  retryOf?: BatchId;
  /** Where the end of the batch is posted. */
  webhookUrl?: string;
  /** After so many milliseconds output and error file are deleted; absent: never. */
  outputExpiresInMs?: number;
}

/** A mistake in the file. `line` counts from 1; absent if it is about the whole file. */
export interface BatchError {
  code: string;
  message: string;
  line?: number;
  /** The field at fault. */
  param?: string;
}

/** The steps of a batch that are on record. */
export interface BatchSteps {
  /** With errors the batch has failed. `lines` is the number of requests in the file, `lastLine` where the last one stands. */
  validated?: { at: number; lines: number; lastLine: number; errors: BatchError[] };
  cancelled?: { at: number };
  /** Every line has a job, but those that were no longer acceptable when their turn came (`refused`). */
  submitted?: { at: number; refused: number };
  finalizing?: { at: number };
  ended?: BatchEnd;
}

export interface BatchEnd {
  at: number;
  status: "completed" | "expired" | "cancelled";
  counts: LineCounts;
  /** Absent if no line belongs there. */
  outputFileId?: string;
  errorFileId?: string;
  /** Of all completed lines. `cached` is part of the input, `reasoning` of the output (absent in older records). */
  usage: { input: number; cached: number; output: number; reasoning?: number };
  /** Of all lines whose price is known, estimates included, in billionths of a US dollar. */
  costNanoUsd: number;
  /** The part of `costNanoUsd` that is an estimate; absent if there is none. */
  estimatedNanoUsd?: number;
}

/** Lines by what became of them; the rest of the lines has not ended. */
export interface LineCounts {
  completed: number;
  failed: number;
  expired: number;
  cancelled: number;
}

export function batchStatus({ validated, cancelled, finalizing, ended }: BatchSteps): BatchStatus {
  if (ended) return ended.status;
  if (validated && validated.errors.length > 0) return "failed";
  if (cancelled) return "cancelling";
  if (!validated) return "validating";
  return finalizing ? "finalizing" : "in_progress";
}

const prefix = "batch_";
const keyDigits = 24;

export function newBatchId(): BatchId {
  return prefix + bare(newJobId()).slice(0, keyDigits);
}

/** The id of the batch that repeats the failed lines of another: the same however often it is asked for. */
export function retryBatchId(batchId: BatchId, endedAt: number): BatchId {
  return prefix + bare(derivedId(`retry:${batchId}`, endedAt)).slice(0, keyDigits);
}

export function isBatchId(text: string): boolean {
  return /^batch_[0-9a-f]{24}$/.test(text);
}

/** A UUIDv7 whose time is given and whose rest is a hash of the text. */
export function derivedId(text: string, at: number): string {
  return v7({ msecs: at, random: createHash("sha256").update(text).digest().subarray(0, 16) });
}

/** @param line counts from 1 */
export function lineJobId(batchId: BatchId, line: number): JobId {
  const key = batchId.slice(prefix.length);
  const last = key.slice(20) + line.toString(16).padStart(8, "0");
  return `${key.slice(0, 8)}-${key.slice(8, 12)}-${key.slice(12, 16)}-${key.slice(16, 20)}-${last}`;
}

/** The number of the line that a job of a batch is. */
export function lineOf(jobId: JobId): number {
  return Number.parseInt(jobId.slice(-8), 16);
}

function bare(uuid: string): string {
  return uuid.replaceAll("-", "");
}
