// Delivers webhooks. It checks every second for due attempts, recovers those of dead processes, and removes old ones.
// Several processes may run it at once: an attempt belongs to the first process that records it.
import { batchStatus } from "../../domain/batch.ts";
import { sharedAbort } from "../../domain/shared-abort.ts";
import { deliveryStatus } from "../../domain/webhook.ts";
import { findBatch } from "../../jobs/batches/batch-records.ts";
import { isOver } from "../../jobs/batches/batches.ts";
import { ageGroups } from "../../jobs/retention/retention-policy.ts";
import {
  type DeliveryHint,
  dueDeliveries,
  historyOf,
  oldDeliveries,
  removeDelivery,
  startDelivery,
  waitingForBatches,
  waitingForJobs,
} from "../../jobs/webhooks/webhook-records.ts";
import { includesTenant } from "../../store/upkeep-store.ts";
import { repeat } from "../timers.ts";
import { deliver, type WebhookContext } from "./deliver.ts";

const roundMs = 1_000;
const walkMs = 5_000;
const sweepMs = 600_000;
/** Maximum requests at a time, in total and to one host. A slow host delays no other. */
const maxAtOnce = 32;
const maxPerHost = 4;
/** Age at which a delivery without its job is removed, in milliseconds. Recording the job takes much less. */
const strayMs = 3_600_000;

/** Starts delivery. Returns a function that ends it: it aborts running requests, which the next process repeats. */
export function startDeliverer(context: WebhookContext): () => Promise<void> {
  const { settings, timers, log } = context;
  const running = new Map<string, { host: string; over: Promise<void> }>();
  const stopping = sharedAbort();
  /** Cursors by environment, where the walk continues. */
  const cursors = new Map<string, string>();

  async function look(): Promise<void> {
    for (const environment of settings.runs) {
      for await (const { value: hint } of dueDeliveries(context, environment, context.clock.wall())) {
        if (stopping.signal.aborted || running.size >= maxAtOnce) return;
        start(hint);
      }
    }
  }

  function start(hint: DeliveryHint): void {
    const { host } = new URL(hint.url);
    const toHost = [...running.values()].filter((one) => one.host === host).length;
    if (running.has(hint.id) || toHost >= maxPerHost) return;
    const over = deliver(context, hint, stopping.signal)
      .catch((error) => log.warn({ err: error, delivery: hint.id }, "failed to deliver a webhook; trying again"))
      .finally(() => running.delete(hint.id));
    running.set(hint.id, { host, over });
  }

  async function walk(): Promise<void> {
    for (const environment of settings.runs) {
      await startEndedBatches(context, environment);
      const next = await startEndedJobs(context, environment, cursors.get(environment));
      if (next === undefined) cursors.delete(environment);
      else cursors.set(environment, next);
    }
  }

  async function sweep(): Promise<void> {
    for (const environment of settings.runs) await removeOld(context, environment);
  }

  const warn = (error: unknown) => log.warn({ err: error }, "failed to look for webhooks to deliver");
  const stops = [
    repeat(timers, roundMs, look, warn),
    repeat(timers, walkMs, walk, warn),
    repeat(timers, sweepMs, sweep, warn),
  ];
  return async () => {
    stopping.abort();
    await Promise.all(stops.map((stop) => stop()));
    await Promise.all([...running.values()].map(({ over }) => over));
  };
}

/**
 * Starts the deliveries of a page of ended jobs that have not been started. Returns the cursor of the next page, or
 * undefined to start again.
 */
async function startEndedJobs(context: WebhookContext, environment: string, cursor?: string) {
  const page = await waitingForJobs(context, environment, cursor);
  for (const { value: delivery } of page.items) {
    const record = await context.store.get(delivery.jobId!, "none");
    if (record?.outcome) await startDelivery(context, delivery);
    else if (!record) await removeStray(context, delivery);
  }
  return page.next;
}

/** Starts the deliveries of ended batches, which no other code does. */
async function startEndedBatches(context: WebhookContext, environment: string): Promise<void> {
  for await (const { value: delivery } of waitingForBatches(context, environment)) {
    const batch = await findBatch(context, environment, delivery.batchId!);
    if (!batch) await removeStray(context, delivery);
    else if (isOver(batchStatus(batch.steps))) await startDelivery(context, delivery);
  }
}

/** Removes a delivery whose job or batch was never stored or was deleted. */
async function removeStray(context: WebhookContext, delivery: Parameters<typeof historyOf>[1]): Promise<void> {
  if (context.clock.wall() - delivery.createdAt < strayMs) return;
  await removeDelivery(context, await historyOf(context, delivery));
}

/** Removes deliveries that are over and older than `retention.deliveries`. */
async function removeOld(context: WebhookContext, environment: string): Promise<void> {
  const now = context.clock.wall();
  for (const { ageMs, tenants } of ageGroups(context.settings.retention, environment, "deliveries")) {
    for await (const { value: delivery } of oldDeliveries(context, environment, now - ageMs)) {
      if (!includesTenant(tenants, delivery.tenant)) continue;
      const history = await historyOf(context, delivery);
      const { status } = deliveryStatus(history);
      if (status === "delivered" || status === "failed") await removeDelivery(context, history);
    }
  }
}
