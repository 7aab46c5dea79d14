// Defines how a submit requests a dry run, and the resource that it returns.
import type { FastifyReply } from "fastify";
import Type, { type Static } from "typebox";
import { priorities } from "../domain/job.ts";
import { toUsd } from "../domain/money.ts";
import { type Binding, type CostRange, type DryRun, totalOf } from "../jobs/submit/dry-run.ts";
import type { Explanation } from "../scheduler/scheduler.ts";
import { waitingOn, waitingOnOf } from "./job-resource.ts";
import { dryRunField } from "./request-fields.ts";
import { iso, isoOrNull, nullable, time } from "./resource-types.ts";

/** The query parameter `dry_run`. */
export const dryRunQuery = Type.Object(dryRunField, { additionalProperties: false });

/** Returns whether the query or the body requests a dry run. */
export function asksDryRun(query: { dry_run?: boolean }, field: boolean | undefined): boolean {
  return query.dry_run === true || field === true;
}

/** Sends a resource that the route's own response schema does not describe. */
export function sendDryRun(reply: FastifyReply, resource: object): never {
  const typed = reply.type("application/json; charset=utf-8").serializer(JSON.stringify);
  return typed.send(resource) as never;
}

export const costRange = (description: string) =>
  nullable(Type.Object({ min: Type.Number(), max: Type.Number() }, { description }));

export const bindingQuota = (description: string) =>
  nullable(
    Type.Object(
      {
        name: Type.String(),
        deployment: Type.String(),
        unit: Type.String(),
        per: Type.Enum(["minute", "day"]),
        limit: Type.Number(),
        takes: Type.Number({ description: "The amount that the job would reserve." }),
      },
      { description },
    ),
  );

/** The schema of a dry run. Fastify registers it under this `$id`. */
export const dryRunSchema = Type.Object(
  {
    dry_run: Type.Literal(true),
    environment: Type.String(),
    tenant: Type.String(),
    model: Type.String(),
    priority: Type.Enum([...priorities]),
    tokens: Type.Object({
      input: nullable(
        Type.Integer({
          description: "Sluice's own token count, times the ratio learned for the model. Null if counting failed.",
        }),
      ),
      input_reserved: Type.Integer({
        description:
          "The input tokens reserved in the quotas, an upper bound. Of a job that needs several calls, those of all calls.",
      }),
      max_output: Type.Integer({ description: "The max_tokens that Sluice would send." }),
    }),
    cost_usd: costRange(
      "Cost of one call, or of all that the job needs, from an empty answer to one of max_tokens. Null if a price is unknown.",
    ),
    quota: bindingQuota("The binding quota: the one of which the job takes the largest share."),
    position: nullable(Type.Integer()),
    waiting_on: nullable(waitingOn),
    expected_start: nullable(time("Expected start. Null if unknown.")),
    expected_finish: nullable(time("Expected end, from the recent call durations of its model. Null if unknown.")),
  },
  { $id: "DryRun" },
);

/**
 * Returns a dry run as the API shows it.
 * @param now milliseconds since the epoch
 */
export function dryRunResource(run: DryRun, now: number): Static<typeof dryRunSchema> {
  const { job, input, cost, binding, queuePosition, durationMs } = run;
  const { start, ...place } = placeOf(queuePosition, now);
  const finish = start === undefined || durationMs === undefined ? undefined : Math.round(start + durationMs);
  return {
    dry_run: true,
    environment: job.environment,
    tenant: job.tenant,
    model: job.model,
    priority: job.priority,
    tokens: { input: input ?? null, input_reserved: totalOf(job).input, max_output: job.tokens.output },
    cost_usd: usdRange(cost),
    quota: quotaOf(binding),
    ...place,
    expected_finish: isoOrNull(finish),
  };
}

/** Returns the position of a job in the queue. `start` is in milliseconds since the epoch. */
export function placeOf(queuePosition: Explanation | undefined, now: number) {
  const waiting = queuePosition?.state === "waiting" ? queuePosition : undefined;
  const start = waiting?.startsInMs === undefined ? undefined : now + waiting.startsInMs;
  return {
    position: waiting?.position ?? null,
    waiting_on: waiting ? waitingOnOf(waiting) : null,
    expected_start: start === undefined ? null : iso(start),
    start,
  };
}

export function usdRange(cost: CostRange | undefined) {
  return cost ? { min: toUsd(cost.min), max: toUsd(cost.max) } : null;
}

export function quotaOf(binding: Binding | undefined) {
  if (!binding) return null;
  const { quota: name, ...rest } = binding;
  return { name, ...rest };
}
