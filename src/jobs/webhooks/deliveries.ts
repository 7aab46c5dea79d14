// Lists, reads and repeats deliveries.
import { SluiceError } from "../../domain/errors.ts";
import {
  batchDeliveryId,
  type DeliveryHistory,
  type DeliveryStatus,
  deliveryStatus,
  jobDeliveryId,
} from "../../domain/webhook.ts";
import { audited } from "../audit/audited.ts";
import { type Caller, maySee, visibleEnvironments } from "../caller.ts";
import type { JobsContext } from "../jobs-context.ts";
import { deliveriesBefore, findDelivery, historyOf, positionOf, startRound } from "./webhook-records.ts";

export interface DeliveryQuery {
  jobId?: string;
  batchId?: string;
  status?: DeliveryStatus;
  /** 1 to 100. */
  limit: number;
  cursor?: string;
}

/** Deliveries that one request examines. A rare status is found over several pages. */
const lookedAt = 500;
/** Maximum number of redeliveries, whose history is kept. */
const maxRounds = 20;

/** Returns deliveries, newest first. A page may be short or empty although more follow: only `next` decides. */
export async function searchDeliveries(
  context: JobsContext,
  { jobId, batchId, status, limit, cursor }: DeliveryQuery,
  caller: Caller,
): Promise<{ items: DeliveryHistory[]; next?: string }> {
  const wanted = (history: DeliveryHistory) => status === undefined || deliveryStatus(history).status === status;
  if (jobId !== undefined || batchId !== undefined) {
    const ids = [jobId !== undefined && jobDeliveryId(jobId), batchId !== undefined && batchDeliveryId(batchId)];
    const found = await Promise.all(ids.map((id) => (id === false ? undefined : lookUp(context, id, caller))));
    return { items: found.filter((history) => history !== undefined && wanted(history)) as DeliveryHistory[] };
  }

  const items: DeliveryHistory[] = [];
  let before = cursor;
  for (let seen = 0; seen < lookedAt; seen += limit) {
    const page = await pageBefore(context, before, limit, caller);
    for (const delivery of page) {
      const history = await historyOf(context, delivery);
      if (wanted(history)) items.push(history);
      before = positionOf(delivery);
      if (items.length === limit) return { items, next: before };
    }
    if (page.length < limit) return { items };
  }
  return { items, ...(before !== undefined && { next: before }) };
}

async function pageBefore(context: JobsContext, before: string | undefined, limit: number, caller: Caller) {
  const lists = visibleEnvironments(context, caller).map(async (environment) => {
    const own: DeliveryHistory["delivery"][] = [];
    for await (const { value: delivery } of deliveriesBefore(context, environment, before, limit)) {
      if (maySee(caller, delivery)) own.push(delivery);
      if (own.length === limit) break;
    }
    return own;
  });
  const all = (await Promise.all(lists)).flat().sort((a, b) => (positionOf(a) < positionOf(b) ? 1 : -1));
  return all.slice(0, limit);
}

/**
 * Returns a delivery.
 * @throws SluiceError `delivery_not_found`, also for one that the caller may not see
 */
export async function requireDelivery(context: JobsContext, id: string, caller: Caller): Promise<DeliveryHistory> {
  const history = /^msg_[0-9a-z_-]{1,60}$/.test(id) ? await lookUp(context, id, caller) : undefined;
  if (history) return history;
  throw new SluiceError("delivery_not_found", `There is no delivery ${id.slice(0, 100)}.`);
}

async function lookUp(context: JobsContext, id: string, caller: Caller): Promise<DeliveryHistory | undefined> {
  const places = visibleEnvironments(context, caller);
  const found = await Promise.all(places.map((environment) => findDelivery(context, environment, id)));
  return found.find((history) => history && maySee(caller, history.delivery));
}

/**
 * Delivers once more now, and retries for another day if necessary, whatever the earlier result.
 * @throws SluiceError `delivery_not_found`, or `conflict` if there is nothing to deliver yet or the redelivery limit is
 *   reached
 */
export async function redeliver(context: JobsContext, id: string, caller: Caller): Promise<DeliveryHistory> {
  const history = await requireDelivery(context, id, caller);
  const { delivery, rounds, tries } = history;
  const round = rounds.at(-1);
  if (!round) {
    const what = delivery.jobId === undefined ? "batch" : "job";
    throw new SluiceError("conflict", `There is nothing to deliver yet: the ${what} has not ended.`);
  }
  // A redelivery was just requested and has not begun.
  if (tries.at(-1)?.round !== round.round) return history;
  if (round.round >= maxRounds) {
    throw new SluiceError("conflict", `Redelivery limit (${maxRounds}) reached.`);
  }
  const target = { type: "delivery", id: delivery.id } as const;
  await audited(context, caller, "webhook.redeliver", { target }, () => startRound(context, delivery, round.round + 1));
  return historyOf(context, delivery);
}
