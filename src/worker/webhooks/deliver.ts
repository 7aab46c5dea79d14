// Makes one attempt of one delivery: records it, sends it, and records its end.
import { Webhook } from "standardwebhooks";
import type { JobRecord } from "../../domain/job.ts";
import { AllowedNetworks } from "../../domain/networks.ts";
import {
  type DeliveryHistory,
  type DeliveryRound,
  type DeliveryTry,
  deliveryStatus,
  nextTryAt,
  type TryEnd,
} from "../../domain/webhook.ts";
import { type Batch, findBatch } from "../../jobs/batches/batch-records.ts";
import { eraseDelivered } from "../../jobs/retention/first-read.ts";
import { hasZeroRetention } from "../../jobs/retention/retention-policy.ts";
import {
  beginTry,
  type DeliveryHint,
  endTry,
  findDelivery,
  putDue,
  removeDue,
} from "../../jobs/webhooks/webhook-records.ts";
import { tenantSecrets } from "../../jobs/webhooks/webhook-secrets.ts";
import type { WorkerContext } from "../worker-context.ts";
import { type Posted, post, type ResolveHost } from "./post.ts";

/** The posted body. */
export interface WebhookBody {
  /** The type of the event, such as `job.completed`. */
  type: string;
  /** When the event happened, ISO 8601. */
  timestamp: string;
  data: object;
}

export interface WebhookContext extends WorkerContext {
  /** Builds the body for an ended job or batch. */
  webhookBodies: {
    job(record: JobRecord): WebhookBody;
    batch(batch: Batch): Promise<WebhookBody>;
  };
  /** Replaces the system's name resolution. */
  resolveHost?: ResolveHost;
}

const timeoutMs = 10_000;
const userAgent = "Sluice-Webhooks/1";
/** HTTP status with which a receiver ends the retries of a delivery. */
const goneStatus = 410;

/**
 * Makes the due attempt, unless there is none or another process makes it.
 * @param signal aborts when the process ends; the attempt then counts as failed
 * @throws what the store throws; the delivery is then checked again
 */
export async function deliver(context: WebhookContext, hint: DeliveryHint, signal: AbortSignal): Promise<void> {
  const { clock, workerId, random, log } = context;
  const history = await findDelivery(context, hint.environment, hint.id);
  const round = history?.rounds.at(-1);
  if (!history || !round) return removeDue(context, hint, round?.round ?? 0);
  const { status, nextAt } = deliveryStatus(history);
  if (status !== "pending") return removeDue(context, hint, round.round);
  if (nextAt! > clock.wall()) return putDue(context, hint, round.round, nextAt!);

  const made: DeliveryTry = { n: history.tries.length + 1, round: round.round, at: clock.wall(), worker: workerId };
  if (!(await beginTry(context, hint, made))) return;
  const startedAt = clock.now();
  const posted = await send(context, history, signal);
  const delivered = posted.status !== undefined && posted.status >= 200 && posted.status < 300;
  const again = !delivered && posted.status !== goneStatus && posted.again !== false;
  // A receiver may repeat what it was sent.
  const { environment, tenant } = history.delivery;
  const keepsExcerpt = posted.excerpt !== "" && !hasZeroRetention(context.settings.retention, environment, tenant);
  const tries = history.tries.filter((t) => t.round === round.round).length + 1;
  const end: TryEnd = {
    at: clock.wall(),
    delivered,
    durationMs: Math.round(clock.now() - startedAt),
    ...(posted.status !== undefined && { status: posted.status }),
    ...(!delivered && { error: posted.error ?? errorOf(posted.status!) }),
    ...(!delivered && keepsExcerpt && { excerpt: posted.excerpt }),
    ...(again && next(round, { tries, now: clock.wall(), retryAfterMs: posted.retryAfterMs, random: random() })),
  };
  await endTry(context, hint, made.n, end);
  context.metrics?.webhookTried(delivered ? "delivered" : end.nextAt === undefined ? "given_up" : "failed");
  if (end.nextAt !== undefined) return putDue(context, hint, round.round, end.nextAt);
  await removeDue(context, hint, round.round);
  if (delivered) await eraseDelivered(context, history.delivery);
  else {
    const { detail } = posted;
    log.warn(
      { delivery: hint.id, status: end.status, reason: end.error, ...(detail && { detail }) },
      "gave up delivering a webhook",
    );
  }
}

function next(
  round: DeliveryRound,
  of: { tries: number; now: number; retryAfterMs: number | undefined; random: number },
) {
  const { retryAfterMs, ...rest } = of;
  const nextAt = nextTryAt(round, { ...rest, ...(retryAfterMs !== undefined && { retryAfterMs }) });
  return nextAt === undefined ? {} : { nextAt };
}

function errorOf(status: number): string {
  if (status === goneStatus) return "The receiver answered 410 (Gone), so delivery stopped.";
  if (status >= 300 && status < 400) return `The receiver answered ${status}; redirects are not followed.`;
  return `The receiver answered ${status}.`;
}

/** Sends the attempt. `again` is false if there is nothing to send, now or later. */
async function send(
  context: WebhookContext,
  { delivery }: DeliveryHistory,
  signal: AbortSignal,
): Promise<Posted & { again?: false }> {
  const body = await bodyOf(context, delivery);
  if (!body) return { error: "The job or batch of this delivery was deleted.", excerpt: "", again: false };
  const payload = JSON.stringify(body);
  const { current, previous } = await tenantSecrets(context, delivery.tenant);
  const at = new Date(context.clock.wall());
  const signatures = [current, previous].flatMap((s) =>
    s ? [new Webhook(s.secret).sign(delivery.id, at, payload)] : [],
  );
  const headers = {
    "content-type": "application/json",
    "user-agent": userAgent,
    "webhook-id": delivery.id,
    "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
    "webhook-signature": signatures.join(" "),
  };
  return post(delivery.url, headers, Buffer.from(payload), {
    networks: new AllowedNetworks(context.settings.webhooks.allowPrivateNetworks),
    timeoutMs,
    signal,
    ...(context.resolveHost && { resolveHost: context.resolveHost }),
  });
}

/** Returns the body, which is equal for all attempts because an outcome never changes. */
async function bodyOf(
  context: WebhookContext,
  { jobId, batchId, environment }: DeliveryHistory["delivery"],
): Promise<WebhookBody | undefined> {
  if (jobId !== undefined) {
    const record = await context.store.get(jobId, "answer");
    return record?.outcome && context.webhookBodies.job(record);
  }
  const batch = await findBatch(context, environment, batchId!);
  return batch && context.webhookBodies.batch(batch);
}
