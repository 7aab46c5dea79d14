// A delivery: the notification that a job or batch ended, on its way to the webhook address from the submission. Its
// progress is stored as separate records, each written once; the first one wins:
//
//     expected (before the job is stored) -> round 0 (the job has ended) -> try 1 -> its end -> try 2 ...
//                                            round 1 (requested by hand) -> try n ...
//
// A try is stored before it is made. The process that stores it makes it. A try that has no end after a while belonged
// to a process that died, and the next one is made. The state is derived from these records. Pure.
import type { BatchId } from "./batch.ts";
import type { JobId } from "./ids.ts";

/** The constant part of a delivery. Either `jobId` or `batchId` is set. */
export interface Delivery {
  /** The `webhook-id` of every try, by which receivers detect repetitions. */
  id: string;
  environment: string;
  tenant: string;
  jobId?: JobId;
  batchId?: BatchId;
  url: string;
  /** Creation time of the job or batch, in milliseconds since the epoch. */
  createdAt: number;
}

/** A series of tries. Round 0 begins when the job or batch ends, further rounds are requested by hand. */
export interface DeliveryRound {
  round: number;
  /** Milliseconds since the epoch. */
  at: number;
}

/** One request to the receiver. */
export interface DeliveryTry {
  /** Number of the try, from 1, over all rounds. */
  n: number;
  round: number;
  at: number;
  worker: string;
  /** Absent while the try runs, and forever if its process died. */
  end?: TryEnd;
}

/** How a try ended. */
export interface TryEnd {
  at: number;
  delivered: boolean;
  durationMs: number;
  /** HTTP status. Absent if there was no response. */
  status?: number;
  /** Why the delivery failed, for people. */
  error?: string;
  /** Beginning of the receiver's response, if the delivery failed. */
  excerpt?: string;
  /** When the next try is due. Absent if this round has no more tries. */
  nextAt?: number;
}

/** A delivery with all its rounds and tries. */
export interface DeliveryHistory {
  delivery: Delivery;
  /** Rounds in the order of their numbers. */
  rounds: DeliveryRound[];
  tries: DeliveryTry[];
}

/**
 * States of a delivery:
 * - `waiting`: the job or batch has not ended
 * - `pending`: a try is due, or runs
 * - `delivered`: the receiver has confirmed
 * - `failed`: all tries of the round failed
 */
export const deliveryStatuses = ["waiting", "pending", "delivered", "failed"] as const;
export type DeliveryStatus = (typeof deliveryStatuses)[number];

/** Duration of a round, in milliseconds. */
export const roundMs = 24 * 3_600_000;
/** Time after which a try without an end counts as lost, in milliseconds. Well beyond the longest request. */
export const lostTryMs = 30_000;

const secondMs = 1000;
/** Waits between the tries of a round, in milliseconds. The last one repeats. */
const delaysMs = [5, 30, 120, 600, 1800, 3600, 7200, 14_400, 28_800].map((s) => s * secondMs);

/** Returns the id of the delivery for a job. */
export function jobDeliveryId(jobId: JobId): string {
  return `msg_${jobId}`;
}

/** Returns the id of the delivery for a batch. */
export function batchDeliveryId(batchId: BatchId): string {
  return `msg_${batchId}`;
}

/** Returns the state of a delivery. `nextAt` is when a try may be made, with `pending` only. It may be in the past. */
export function deliveryStatus({ rounds, tries }: DeliveryHistory): { status: DeliveryStatus; nextAt?: number } {
  const round = rounds.at(-1);
  if (!round) return { status: "waiting" };
  const last = tries.at(-1);
  if (!last || last.round < round.round) return { status: "pending", nextAt: round.at };
  if (last.end?.delivered) return { status: "delivered" };
  const nextAt = last.end ? last.end.nextAt : last.at + lostTryMs;
  return nextAt === undefined || nextAt > round.at + roundMs ? { status: "failed" } : { status: "pending", nextAt };
}

/**
 * Returns when to try again after a failed try, or undefined if the round is over.
 * @param tries number of tries in the round, this one included
 * @param retryAfterMs wait that the receiver asked for. It can only make the wait longer
 * @param random uniform in [0, 1)
 */
export function nextTryAt(
  { at }: DeliveryRound,
  { tries, now, retryAfterMs = 0, random }: { tries: number; now: number; retryAfterMs?: number; random: number },
): number | undefined {
  const end = at + roundMs;
  const delay = delaysMs[Math.min(tries, delaysMs.length) - 1]! * (0.9 + 0.2 * random);
  const next = Math.round(Math.max(now + delay, Math.min(now + retryAfterMs, end)));
  return next > end ? undefined : next;
}
