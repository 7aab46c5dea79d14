// Defines the webhook resource: the posted body and the delivery with its attempts.
import Type, { type Static } from "typebox";
import { batchStatus } from "../domain/batch.ts";
import { erasedOutcome, erasedRequest, type JobRecord } from "../domain/job.ts";
import { type DeliveryHistory, deliveryStatus, deliveryStatuses } from "../domain/webhook.ts";
import { progressOf } from "../jobs/batches/batch-progress.ts";
import type { Batch } from "../jobs/batches/batch-records.ts";
import { createLineCounter } from "../jobs/batches/line-counter.ts";
import type { Caller } from "../jobs/caller.ts";
import type { JobsContext } from "../jobs/jobs-context.ts";
import { jobResource } from "./job-resource.ts";
import { batchResource } from "./openai/batch-resource.ts";
import { iso, isoOrNull, nullable, time } from "./resource-types.ts";

const attempt = Type.Object({
  number: Type.Integer({ description: "Counts from 1." }),
  redelivery: Type.Integer({
    description: "The number of the redelivery that this attempt belongs to; 0 for the first delivery.",
  }),
  started_at: time("When it was created."),
  result: Type.Enum(["in_progress", "delivered", "failed", "unknown"], {
    description: "`unknown`: the process died during the attempt.",
  }),
  status_code: nullable(Type.Integer({ description: "HTTP status of the receiver's response." })),
  error: nullable(Type.String({ description: "Why the attempt failed." })),
  response: nullable(Type.String({ description: "The beginning of the receiver's response, if the attempt failed." })),
  duration_ms: nullable(Type.Integer()),
});

export const deliverySchema = Type.Object(
  {
    id: Type.String({ description: "The webhook-id header of every attempt." }),
    status: Type.Enum([...deliveryStatuses], {
      description: "`waiting`: the job or batch has not ended. `pending`: an attempt is due or in progress.",
    }),
    job_id: nullable(Type.String({ format: "uuid" })),
    batch_id: nullable(Type.String()),
    environment: Type.String(),
    tenant: Type.String(),
    url: Type.String({
      description:
        "The address. A read-only key sees only its origin, because the rest may be a secret of the receiver.",
    }),
    created_at: time("When the job or batch was submitted."),
    next_attempt_at: nullable(time("When the next attempt is due. Null unless pending.")),
    delivered_at: nullable(time("When the receiver last confirmed the delivery.")),
    attempts: Type.Array(attempt, { description: "The attempts, in order." }),
  },
  { $id: "WebhookDelivery" },
);

export function deliveryResource(
  history: DeliveryHistory,
  { readOnly }: Pick<Caller, "readOnly">,
): Static<typeof deliverySchema> {
  const { delivery, tries } = history;
  const { status, nextAt } = deliveryStatus(history);
  return {
    id: delivery.id,
    status,
    job_id: delivery.jobId ?? null,
    batch_id: delivery.batchId ?? null,
    environment: delivery.environment,
    tenant: delivery.tenant,
    url: readOnly ? new URL(delivery.url).origin : delivery.url,
    created_at: iso(delivery.createdAt),
    next_attempt_at: isoOrNull(nextAt),
    delivered_at: isoOrNull(tries.findLast(({ end }) => end?.delivered)?.end?.at),
    attempts: tries.map((made) => ({
      number: made.n,
      redelivery: made.round,
      started_at: iso(made.at),
      result: made.end
        ? made.end.delivered
          ? ("delivered" as const)
          : ("failed" as const)
        : status === "pending" && made === tries.at(-1)
          ? ("in_progress" as const)
          : ("unknown" as const),
      status_code: made.end?.status ?? null,
      error: made.end?.error ?? null,
      response: made.end?.excerpt ?? null,
      duration_ms: made.end?.durationMs ?? null,
    })),
  };
}

/**
 * Returns the functions that build the posted body: the resource of the ended job or batch, as its own path returns it.
 */
export function webhookBodies(context: JobsContext) {
  const counter = createLineCounter(context);
  return {
    job({ outcome, ...record }: JobRecord) {
      const { status, at } = outcome!;
      // Sends only what remains stored, even while the answer still exists, so that all attempts are equal.
      const { job } = record;
      const stored = job.ephemeral
        ? { ...record, job: { ...job, request: erasedRequest(job.request) }, outcome: erasedOutcome(outcome!) }
        : { ...record, outcome: outcome! };
      return { type: `job.${status}`, timestamp: iso(at), data: jobResource(stored, context.clock.wall()) };
    },
    async batch(batch: Batch) {
      const { ended, validated } = batch.steps;
      const at = ended?.at ?? validated?.at ?? batch.request.createdAt;
      const data = batchResource(batch, await progressOf(context, counter, batch));
      return { type: `batch.${batchStatus(batch.steps)}`, timestamp: iso(at), data };
    },
  };
}
