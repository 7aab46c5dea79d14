// A delivery: the news of the end of a job or batch, on its way to the address that whoever submitted it named. What
// happens to it is on record as records of their own, of each of which the first one wins:
//
//   expected (before the job is stored) -> round 0 (the job has ended) -> try 1 -> its end -> try 2 ...
//                                          round 1 (asked for by hand) -> try n ...
//
// A try is on record before it is made: whoever writes it makes it. One without an end after a while belonged to a
// process that died, and the next one is made. The state is derived from these records. Pure.
import type { BatchId } from "./batch.ts";
import type { JobId } from "./ids.ts";

/** What never changes. Either `jobId` or `batchId` is there. */
export interface Delivery {
  /** The `webhook-id` of every try: receivers know by it what they have seen. */
  id: string;
  environment: string;
  tenant: string;
  jobId?: JobId;
  batchId?: BatchId;
  url: string;
  /** Milliseconds since the epoch; that of the job or batch. */
  createdAt: number;
}

/** From when on it is to be delivered: 0 when the job or batch has ended, others by hand. */
export interface DeliveryRound {
  round: number;
  /** Milliseconds since the epoch. */
  at: number;
}

export interface DeliveryTry {
  /** From 1, over all rounds. */
  n: number;
  round: number;
  at: number;
  worker: string;
  /** Absent while it runs, and for ever if the process died. */
  end?: TryEnd;
}

export interface TryEnd {
  at: number;
  delivered: boolean;
  durationMs: number;
  /** Of HTTP; absent if there was no answer. */
  status?: number;
  /** Why it was not delivered, for people. */
  error?: string;
  /** The beginning of the receiver's answer, if it was not delivered. */
  excerpt?: string;
  /** When the next try is due; absent if there is none in this round. */
  nextAt?: number;
}

export interface DeliveryHistory {
  delivery: Delivery;
  /** In the order of their numbers. */
  rounds: DeliveryRound[];
  tries: DeliveryTry[];
}

/**
 * - `waiting`    the job or batch has not ended
 * - `pending`    a try is due, or runs
 * - `delivered`  the receiver has confirmed
 * - `failed`     given up
 */
export const deliveryStatuses = ["waiting", "pending", "delivered", "failed"] as const;
export type DeliveryStatus = (typeof deliveryStatuses)[number];

/** How long a round goes on. */
export const roundMs = 24 * 3_600_000;
/** A try without an end is given up after this: well beyond the longest that a request may take. */
export const lostTryMs = 30_000;

const secondMs = 1000;
/** Waits between the tries of a round; the last one repeats. */
const delaysMs = [5, 30, 120, 600, 1800, 3600, 7200, 14_400, 28_800].map((s) => s * secondMs);

export function jobDeliveryId(jobId: JobId): string {
  return `msg_${jobId}`;
}

export function batchDeliveryId(batchId: BatchId): string {
  return `msg_${batchId}`;
}

/** Where a delivery stands. `nextAt` is when a try may be made, with `pending` only; it may be in the past. */
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
 * When to try again after a try that failed; undefined if the round is over.
 * @param tries that the round has had, this one included
 * @param retryAfterMs what the receiver asked for; it makes the wait longer, never shorter
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
