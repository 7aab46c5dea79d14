// Stores the outbox of webhooks. The records of a delivery (domain/webhook.ts) are in the environment of its job:
//
//   delivery/{created}/{id}    the delivery itself
//   history/{id}/...           its rounds, attempts, and their ends
//   wait/job/{id}, wait/batch/{id}  while the job or batch has not ended
//   due/{time}/{id}            while attempts are due, in the order of time; a hint, which may be late or wrong
//
// The first two are inserts, which decide. The others only say where to look.

import type { JobHead } from "../../domain/job.ts";
import {
  batchDeliveryId,
  type Delivery,
  type DeliveryHistory,
  type DeliveryRound,
  type DeliveryTry,
  jobDeliveryId,
  type TryEnd,
} from "../../domain/webhook.ts";
import { environmentCollection, numberKey, timeKey } from "../../store/collection.ts";
import type { JobsContext } from "../jobs-context.ts";

type StoreContext = Pick<JobsContext, "store">;
export type WebhooksContext = Pick<JobsContext, "store" | "clock" | "log">;

/** The content of an entry in the two lists of where to look. */
export type DeliveryHint = Pick<Delivery, "id" | "environment" | "url">;

/** Deliveries, and those that wait for the end of their job or batch. */
const deliveriesIn = environmentCollection<Delivery>({ stored: "deliveries" });
const historyIn = environmentCollection<(DeliveryRound | Omit<DeliveryTry, "end"> | TryEnd) & { delivery: string }>({
  stored: "deliveries",
  order: "history/",
});
const dueIn = environmentCollection<DeliveryHint>({ stored: "deliveries", order: "due/" });

const listPrefix = "delivery/";
/** Returns where a delivery is in the list of all, oldest first. */
export const positionOf = ({ id, createdAt }: Pick<Delivery, "id" | "createdAt">) =>
  `${listPrefix}${timeKey(createdAt)}/${id}`;

const waitId = (id: string) => `${id}/wait`;
/** Each round has its own id, so that the end of a round cannot remove the next one's entry. */
const dueId = (id: string, round: number) => `${id}/due/${numberKey(round, 2)}`;
const roundId = (id: string, round: number) => `${id}/round/${numberKey(round, 2)}`;
const tryId = (id: string, n: number) => `${id}/try/${numberKey(n, 4)}`;

// -------------------------------------------------------------- from the job

/** Stores deliveries before their jobs, so that the end of a job with a webhook is found whichever process dies. */
export async function expectDeliveries(context: StoreContext, jobs: readonly JobHead[]): Promise<void> {
  for (const environment of new Set(jobs.flatMap((job) => (job.webhookUrl === undefined ? [] : [job.environment])))) {
    const own = jobs.filter((job) => job.environment === environment);
    await insertDeliveries(
      context,
      own.flatMap(({ id, tenant, webhookUrl: url, submittedAt: createdAt }) =>
        url === undefined ? [] : [{ id: jobDeliveryId(id), environment, tenant, jobId: id, url, createdAt }],
      ),
    );
  }
}

/** Stores the delivery of a batch before the batch. */
export async function expectBatchDelivery(
  context: StoreContext,
  batch: { id: string; environment: string; tenant: string; createdAt: number; webhookUrl?: string },
): Promise<void> {
  const { id: batchId, webhookUrl: url, environment, tenant, createdAt } = batch;
  if (url === undefined) return;
  await insertDeliveries(context, [{ id: batchDeliveryId(batchId), environment, tenant, batchId, url, createdAt }]);
}

/** Inserts deliveries of one environment. */
async function insertDeliveries({ store }: StoreContext, deliveries: readonly Delivery[]): Promise<void> {
  const records = deliveries.flatMap((delivery) => [
    { id: waitId(delivery.id), order: `wait/${delivery.jobId ? "job" : "batch"}/${delivery.id}`, value: delivery },
    { id: delivery.id, order: positionOf(delivery), value: delivery },
  ]);
  await deliveriesIn(store, deliveries[0]!.environment).insertAll(records);
}

/**
 * Makes the webhook of an ended job due. Never fails: the walk over waiting deliveries finds what could not be written.
 */
export async function announceEnd(
  context: WebhooksContext,
  { id, environment, webhookUrl: url }: Pick<JobHead, "id" | "environment" | "webhookUrl">,
): Promise<void> {
  if (url === undefined) return;
  try {
    await startDelivery(context, { id: jobDeliveryId(id), environment, url });
  } catch (error) {
    context.log.warn({ err: error, jobId: id }, "failed to queue the webhook of an ended job; trying again");
  }
}

/** Starts a delivery whose job or batch has ended. May be repeated. */
export async function startDelivery(context: WebhooksContext, hint: DeliveryHint): Promise<void> {
  await startRound(context, hint, 0);
  await deliveriesIn(context.store, hint.environment).remove(waitId(hint.id));
}

/** Starts a round of attempts. May be repeated; the first time stays. */
export async function startRound(context: WebhooksContext, hint: DeliveryHint, round: number): Promise<void> {
  const value: DeliveryRound = { round, at: context.clock.wall() };
  await insertHistory(context, hint, roundId(hint.id, round), value);
  await putDue(context, hint, round, value.at);
}

// -------------------------------------------------------------- tries

/**
 * Records an attempt.
 * @returns whether this caller may make the attempt
 */
export async function beginTry(context: StoreContext, hint: DeliveryHint, made: Omit<DeliveryTry, "end">) {
  return insertHistory(context, hint, tryId(hint.id, made.n), made);
}

export async function endTry(context: StoreContext, hint: DeliveryHint, n: number, end: TryEnd): Promise<void> {
  await insertHistory(context, hint, `${tryId(hint.id, n)}/end`, end);
}

function insertHistory(
  { store }: StoreContext,
  { id: delivery, environment }: DeliveryHint,
  id: string,
  value: DeliveryRound | Omit<DeliveryTry, "end"> | TryEnd,
): Promise<boolean> {
  return historyIn(store, environment).insert({ id, value: { ...value, delivery } });
}

// -------------------------------------------------------------- where to look

export async function putDue({ store }: StoreContext, hint: DeliveryHint, round: number, at: number): Promise<void> {
  const { id, environment, url } = hint;
  const order = `${timeKey(at)}/${id}`;
  await dueIn(store, environment).put({ id: dueId(id, round), order, value: { id, environment, url } });
}

/** Removes the due entries of this round and of earlier ones. */
export async function removeDue({ store }: StoreContext, { id, environment }: DeliveryHint, round: number) {
  const ids = Array.from({ length: round + 1 }, (_, k) => dueId(id, k));
  await dueIn(store, environment).remove(...ids);
}

/** Returns deliveries that may be due, earliest first. */
export function dueDeliveries({ store }: StoreContext, environment: string, now: number) {
  return dueIn(store, environment).all({ before: timeKey(now + 1) }, 100);
}

/** Returns a page of deliveries whose job is not known to have ended. */
export function waitingForJobs({ store }: StoreContext, environment: string, cursor?: string) {
  return deliveriesIn(store, environment).page({ prefix: "wait/job/" }, { limit: 500, cursor });
}

/** Returns deliveries whose batch is not known to have ended. */
export function waitingForBatches({ store }: StoreContext, environment: string) {
  return deliveriesIn(store, environment).all({ prefix: "wait/batch/" });
}

// -------------------------------------------------------------- reading

export async function findDelivery(
  context: StoreContext,
  environment: string,
  id: string,
): Promise<DeliveryHistory | undefined> {
  const delivery = await deliveriesIn(context.store, environment).get(id);
  return delivery && historyOf(context, delivery);
}

export async function historyOf({ store }: StoreContext, delivery: Delivery): Promise<DeliveryHistory> {
  const rounds: DeliveryRound[] = [];
  const tries = new Map<string, DeliveryTry>();
  for await (const { id, value } of historyRecords(store, delivery)) {
    const { delivery: _, ...content } = value;
    // Records are in the order of their ids, so an end follows its attempt.
    if ("worker" in content) tries.set(id, content);
    else if ("delivered" in content) Object.assign(tries.get(id.slice(0, -"/end".length)) ?? {}, { end: content });
    else rounds.push(content);
  }
  return { delivery, rounds, tries: [...tries.values()] };
}

function historyRecords(store: StoreContext["store"], { id, environment }: Delivery) {
  return historyIn(store, environment).all({ prefix: `${id}/` }, 1000);
}

/**
 * Returns deliveries, newest first.
 * @param before position where the previous page ended, see `positionOf`
 */
export function deliveriesBefore({ store }: StoreContext, environment: string, before?: string, pageSize?: number) {
  const range = { prefix: listPrefix, before: before?.slice(listPrefix.length), descending: true };
  return deliveriesIn(store, environment).all(range, pageSize);
}

/** Returns deliveries that were created before a time, oldest first. */
export function oldDeliveries({ store }: StoreContext, environment: string, createdBefore: number) {
  return deliveriesIn(store, environment).all({ prefix: listPrefix, before: timeKey(createdBefore) }, 200);
}

/** Removes all records of a delivery. */
export async function removeDelivery(context: StoreContext, { delivery, rounds }: DeliveryHistory): Promise<void> {
  const { id, environment } = delivery;
  const due = rounds.map(({ round }) => dueId(id, round));
  const history: string[] = [];
  for await (const record of historyRecords(context.store, delivery)) history.push(record.id);
  const deliveries = deliveriesIn(context.store, environment);
  // The delivery itself is removed last, so that an interrupted removal is found again.
  await deliveries.remove(...history, ...due, waitId(id));
  await deliveries.remove(id);
}
