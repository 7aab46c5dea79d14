// The outbox of webhooks: how a delivery (domain/webhook.ts) stands on record, in the environment of its job.
//
//   delivery/{created}/{id}    the delivery itself
//   history/{id}/...           its rounds, tries, and their ends
//   wait/job/{id}, wait/batch/{id}  as long as the job or batch has not ended
//   due/{time}/{id}            as long as tries are due, in the order of their time; a hint, which may be late or wrong
//
// The first two are inserts, which decide; the others only say where to look.

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
import type { Page } from "../../store/cursor.ts";
import type { RecordPlace, StoredRecord } from "../../store/record-store.ts";
import type { JobsContext } from "../jobs-context.ts";

type StoreContext = Pick<JobsContext, "store">;
export type WebhooksContext = Pick<JobsContext, "store" | "clock" | "log">;

/** What stands in an entry of the two lists of where to look. */
export type DeliveryHint = Pick<Delivery, "id" | "environment" | "url">;

const placeOf = (environment: string): RecordPlace => ({ collection: "deliveries", environment });
const digits = (epochMs: number) => String(Math.max(0, Math.floor(epochMs))).padStart(16, "0");
const two = (n: number) => String(n).padStart(2, "0");
const four = (n: number) => String(n).padStart(4, "0");

const listOrder = ({ id, createdAt }: Pick<Delivery, "id" | "createdAt">) => `delivery/${digits(createdAt)}/${id}`;
const afterList = "delivery0";
const waitId = (id: string) => `${id}/wait`;
/** Each round has one of its own, so that ending a round cannot take away the next one's. */
const dueId = (id: string, round: number) => `${id}/due/${two(round)}`;
const roundId = (id: string, round: number) => `${id}/round/${two(round)}`;
const tryId = (id: string, n: number) => `${id}/try/${four(n)}`;

// -------------------------------------------------------------- from the job

/** To be called before the jobs are stored: a job that asks for a webhook and ends is then found, whatever dies. */
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

/** The same for a batch. */
export async function expectBatchDelivery(
  context: StoreContext,
  batch: { id: string; environment: string; tenant: string; createdAt: number; webhookUrl?: string },
): Promise<void> {
  const { id: batchId, webhookUrl: url, environment, tenant, createdAt } = batch;
  if (url === undefined) return;
  await insertDeliveries(context, [{ id: batchDeliveryId(batchId), environment, tenant, batchId, url, createdAt }]);
}

/** All of one environment. */
async function insertDeliveries({ store }: StoreContext, deliveries: readonly Delivery[]): Promise<void> {
  const records = deliveries.flatMap((delivery) => [
    { id: waitId(delivery.id), order: `wait/${delivery.jobId ? "job" : "batch"}/${delivery.id}`, value: delivery },
    { id: delivery.id, order: listOrder(delivery), value: delivery },
  ]);
  await store.records.insert(placeOf(deliveries[0]!.environment), records);
}

/**
 * To be called when a job has ended: from now on its webhook is due. Never fails; what could not be written is found by
 * the walk over those that wait.
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

/** The job or batch has ended. May be repeated. */
export async function startDelivery(context: WebhooksContext, hint: DeliveryHint): Promise<void> {
  await startRound(context, hint, 0);
  await context.store.records.remove(placeOf(hint.environment), [waitId(hint.id)]);
}

/** From now on it is to be delivered. May be repeated; the first time stays. */
export async function startRound(context: WebhooksContext, hint: DeliveryHint, round: number): Promise<void> {
  const value: DeliveryRound = { round, at: context.clock.wall() };
  await insertHistory(context, hint, roundId(hint.id, round), value);
  await putDue(context, hint, round, value.at);
}

// -------------------------------------------------------------- tries

/** @returns whether the try is the caller's to make */
export async function beginTry(context: StoreContext, hint: DeliveryHint, made: Omit<DeliveryTry, "end">) {
  return (await insertHistory(context, hint, tryId(hint.id, made.n), made)) === "inserted";
}

export async function endTry(context: StoreContext, hint: DeliveryHint, n: number, end: TryEnd): Promise<void> {
  await insertHistory(context, hint, `${tryId(hint.id, n)}/end`, end);
}

async function insertHistory({ store }: StoreContext, { id, environment }: DeliveryHint, name: string, value: object) {
  const record: StoredRecord = { id: name, order: `history/${name}`, value: { ...value, delivery: id } };
  const [answer] = await store.records.insert(placeOf(environment), [record]);
  return answer;
}

// -------------------------------------------------------------- where to look

export async function putDue({ store }: StoreContext, hint: DeliveryHint, round: number, at: number): Promise<void> {
  const { id, environment, url } = hint;
  const order = `due/${digits(at)}/${id}`;
  await store.records.put(placeOf(environment), { id: dueId(id, round), order, value: { id, environment, url } });
}

/** Of this round and those before it. */
export async function removeDue({ store }: StoreContext, { id, environment }: DeliveryHint, round: number) {
  const ids = Array.from({ length: round + 1 }, (_, k) => dueId(id, k));
  await store.records.remove(placeOf(environment), ids);
}

/** Those that may be due by now, earliest first. */
export function listDue(context: StoreContext, environment: string, now: number, cursor?: string) {
  return listHints<DeliveryHint>(context, environment, {
    from: "due/",
    to: `due/${digits(now + 1)}`,
    limit: 100,
    cursor,
  });
}

/** Those whose job has not ended, or whose batch, as far as anybody has said. */
export function listWaiting(context: StoreContext, environment: string, of: "job" | "batch", cursor?: string) {
  const range = { from: `wait/${of}/`, to: `wait/${of}0`, limit: 500 };
  return listHints<Delivery>(context, environment, { ...range, cursor });
}

async function listHints<T extends DeliveryHint>(
  { store }: StoreContext,
  environment: string,
  query: { from: string; to: string; limit: number; cursor?: string | undefined },
): Promise<Page<T>> {
  const { cursor, ...range } = query;
  const { items, next } = await store.records.list(placeOf(environment), {
    ...range,
    ...(cursor !== undefined && { cursor }),
  });
  // Environments may share a database.
  const own = items.map(({ value }) => value as T).filter((value) => value.environment === environment);
  return { items: own, ...(next !== undefined && { next }) };
}

// -------------------------------------------------------------- reading

export async function findDelivery(
  context: StoreContext,
  environment: string,
  id: string,
): Promise<DeliveryHistory | undefined> {
  const found = (await context.store.records.get(placeOf(environment), [id])).get(id)?.value as Delivery | undefined;
  return found?.environment === environment ? historyOf(context, found) : undefined;
}

export async function historyOf({ store }: StoreContext, delivery: Delivery): Promise<DeliveryHistory> {
  const rounds: DeliveryRound[] = [];
  const tries = new Map<string, DeliveryTry>();
  for (const { id, value } of await historyRecords({ store }, delivery)) {
    const { delivery: _, ...content } = value as { delivery: string };
    // In the order of their ids: an end comes after its try.
    if (id.startsWith(`${delivery.id}/round/`)) rounds.push(content as DeliveryRound);
    else if (!id.endsWith("/end")) tries.set(id, content as DeliveryTry);
    else Object.assign(tries.get(id.slice(0, -"/end".length)) ?? {}, { end: content as TryEnd });
  }
  return { delivery, rounds, tries: [...tries.values()] };
}

async function historyRecords({ store }: StoreContext, { id, environment }: Delivery): Promise<StoredRecord[]> {
  const records: StoredRecord[] = [];
  let cursor: string | undefined;
  do {
    const query = {
      from: `history/${id}/`,
      to: `history/${id}0`,
      limit: 1000,
      ...(cursor !== undefined && { cursor }),
    };
    const { items, next } = await store.records.list(placeOf(environment), query);
    records.push(...items);
    cursor = next;
  } while (cursor !== undefined);
  return records;
}

/** Newest first. @param before where the page before ended, see `positionOf` */
export async function listDeliveries(
  { store }: StoreContext,
  environment: string,
  { before = afterList, limit }: { before?: string; limit: number },
): Promise<Delivery[]> {
  const found: Delivery[] = [];
  let cursor: string | undefined;
  do {
    const query = { from: "delivery/", to: before, descending: true, limit, ...(cursor !== undefined && { cursor }) };
    const { items, next } = await store.records.list(placeOf(environment), query);
    found.push(...items.map(({ value }) => value as Delivery).filter((d) => d.environment === environment));
    cursor = next;
  } while (cursor !== undefined && found.length < limit);
  return found.slice(0, limit);
}

/** Where a delivery stands in the list of all. */
export const positionOf = listOrder;

/** Deliveries that were created before a time, oldest first. */
export async function listOld({ store }: StoreContext, environment: string, createdBefore: number, cursor?: string) {
  const query = { from: "delivery/", to: `delivery/${digits(createdBefore)}/`, limit: 200 };
  return listHints<Delivery>({ store }, environment, { ...query, cursor });
}

/** Removes all that is on record about a delivery. */
export async function forgetDelivery(context: StoreContext, { delivery, rounds }: DeliveryHistory): Promise<void> {
  const { id, environment } = delivery;
  const history = (await historyRecords(context, delivery)).map((record) => record.id);
  const due = rounds.map(({ round }) => dueId(id, round));
  // The delivery itself goes last: until then it is found again.
  await context.store.records.remove(placeOf(environment), [...history, ...due, waitId(id)]);
  await context.store.records.remove(placeOf(environment), [id]);
}
