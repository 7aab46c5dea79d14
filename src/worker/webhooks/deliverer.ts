// Delivers webhooks: looks every second what is due, finds what a process that died left behind, and forgets what is old.
// Any number of processes may do so at once: a try belongs to whoever writes it down first.
import { batchStatus } from "../../domain/batch.ts";
import { sharedAbort } from "../../domain/shared-abort.ts";
import { deliveryStatus } from "../../domain/webhook.ts";
import { findBatch } from "../../jobs/batches/batch-records.ts";
import { isOver } from "../../jobs/batches/batches.ts";
import {
  type DeliveryHint,
  dueDeliveries,
  forgetDelivery,
  historyOf,
  oldDeliveries,
  startDelivery,
  waitingForBatches,
  waitingForJobs,
} from "../../jobs/webhooks/webhook-records.ts";
import { repeat } from "../timers.ts";
import { deliver, type WebhookContext } from "./deliver.ts";

const roundMs = 1_000;
const walkMs = 5_000;
const sweepMs = 600_000;
/** Requests at a time, and to one host: a slow one keeps nobody else waiting. */
const maxAtOnce = 32;
const maxPerHost = 4;
/** Longer than it takes from the record of a delivery to that of its job. */
const strayMs = 3_600_000;
const keptMs = 30 * 24 * 3_600_000;

/** Starts. The function that is returned ends it; requests that run are cut off, and made again by the next process. */
export function startDeliverer(context: WebhookContext): () => Promise<void> {
  const { settings, timers, log } = context;
  const running = new Map<string, { host: string; over: Promise<void> }>();
  const stopping = sharedAbort();
  /** By environment: where the walk goes on. */
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
    for (const environment of settings.runs) await forgetOld(context, environment);
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

/** A page of the jobs whose end nobody has told of. Returns where the next page starts; undefined: anew. */
async function startEndedJobs(context: WebhookContext, environment: string, cursor?: string) {
  const page = await waitingForJobs(context, environment, cursor);
  for (const { value: delivery } of page.items) {
    const record = await context.store.get(delivery.jobId!);
    if (record?.outcome) await startDelivery(context, delivery);
    else if (!record) await forgetStray(context, delivery);
  }
  return page.next;
}

/** Nobody else tells of the end of a batch. */
async function startEndedBatches(context: WebhookContext, environment: string): Promise<void> {
  for await (const { value: delivery } of waitingForBatches(context, environment)) {
    const batch = await findBatch(context, environment, delivery.batchId!);
    if (!batch) await forgetStray(context, delivery);
    else if (isOver(batchStatus(batch.steps))) await startDelivery(context, delivery);
  }
}

/** What it is about was never stored, or is deleted. */
async function forgetStray(context: WebhookContext, delivery: Parameters<typeof historyOf>[1]): Promise<void> {
  if (context.clock.wall() - delivery.createdAt < strayMs) return;
  await forgetDelivery(context, await historyOf(context, delivery));
}

async function forgetOld(context: WebhookContext, environment: string): Promise<void> {
  for await (const { value: delivery } of oldDeliveries(context, environment, context.clock.wall() - keptMs)) {
    const history = await historyOf(context, delivery);
    const { status } = deliveryStatus(history);
    if (status === "delivered" || status === "failed") await forgetDelivery(context, history);
  }
}
