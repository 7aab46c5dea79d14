// What the parts of retention share: their context, how they wait between steps, and what must be settled before a job
// may go.

import type { RetentionKind } from "../../config/settings.ts";
import type { JobRecord } from "../../domain/job.ts";
import { deliveryStatus, jobDeliveryId } from "../../domain/webhook.ts";
import type { JobsContext } from "../jobs-context.ts";
import { reservations } from "../limits/limit-records.ts";
import { mayRun } from "../may-run.ts";
import { findDelivery } from "../webhooks/webhook-records.ts";
import { type AgeGroup, hasZeroRetention } from "./retention-policy.ts";

/** Thrown by `proceed` to end a round between two steps. Not a failure. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}

export interface RetentionContext extends JobsContext {
  /**
   * Waits before the next step, so that steps leave most of the store's time to others.
   * @throws Interrupted if the process ends or another process has taken over
   */
  proceed(): Promise<void>;
  /** Writes jobs to the archive; they are durable there when it resolves. Absent: there is no archive. */
  archive?: (environment: string, records: readonly JobRecord[]) => Promise<void>;
  /** Counts what was removed. */
  removed(environment: string, kind: RetentionKind, count: number): void;
}

/** A kind of data of one environment, for the tenants that share an age. */
export interface Lane extends AgeGroup {
  environment: string;
  kind: RetentionKind;
}

/** Jobs that are handled in one step. Removing 20 takes the store about 3 ms. */
const atOnce = 20;

/** Splits a list into steps, and waits before each. */
export async function* inSteps<T>(
  context: Pick<RetentionContext, "proceed">,
  items: readonly T[],
): AsyncGenerator<T[]> {
  for (let at = 0; at < items.length; at += atOnce) {
    await context.proceed();
    yield items.slice(at, at + atOnce);
  }
}

/**
 * Returns whether nothing needs the job any more: no call runs, its usage counts for the limits of its key, and its
 * webhook was delivered or given up.
 */
export async function isSettled(context: RetentionContext, { job, attempts, outcome }: JobRecord): Promise<boolean> {
  if (mayRun(context, attempts)) return false;
  const { webhookUrl, environment } = job;
  if (webhookUrl !== undefined && (await isDelivering(context, environment, jobDeliveryId(job.id)))) return false;
  if (job.keyId === undefined || !context.limits?.keys.limitsOf(job.keyId)) return true;
  const open = () => reservations(context.store, job.environment).get(job.id);
  if ((await open()) === undefined) return true;
  await context.limits.ended(job.environment, job.id, { attempts, outcome });
  return (await open()) === undefined;
}

/** Returns whether a webhook is still to be delivered. */
export async function isDelivering(context: RetentionContext, environment: string, deliveryId: string) {
  const history = await findDelivery(context, environment, deliveryId);
  if (!history) return false;
  const { status } = deliveryStatus(history);
  return status === "waiting" || status === "pending";
}

/** Writes jobs to the archive whose texts are still there. Jobs with `store: false` or zero retention never go there. */
export async function archiveJobs(context: RetentionContext, records: readonly JobRecord[]): Promise<void> {
  const { archive, settings } = context;
  const kept = records.filter(
    ({ job: { ephemeral, erased, environment, tenant } }) =>
      !ephemeral && erased === undefined && !hasZeroRetention(settings.retention, environment, tenant),
  );
  const [first] = kept;
  if (archive && first) await archive(first.job.environment, kept);
}
