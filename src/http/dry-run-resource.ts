// What a submit with `dry_run` answers.
import Type, { type Static } from "typebox";
import { priorities } from "../domain/job.ts";
import { toUsd } from "../domain/money.ts";
import type { DryRun } from "../jobs/dry-run.ts";
import { waitingOn, waitingOnOf } from "./job-resource.ts";
import { iso, isoOrNull, nullable, time } from "./json.ts";

export const dryRunQuery = Type.Object(
  { dry_run: Type.Optional(Type.Boolean({ description: "Check and estimate only. By default false." })) },
  { additionalProperties: false },
);

/** Registered with Fastify under this `$id`. */
export const dryRunSchema = Type.Object(
  {
    dry_run: Type.Literal(true),
    environment: Type.String(),
    tenant: Type.String(),
    model: Type.String(),
    priority: Type.Enum([...priorities]),
    tokens: Type.Object({
      input: nullable(Type.Integer({ description: "As counted here; null if it could not be counted now." })),
      input_reserved: Type.Integer({ description: "What the quotas are charged at first: an upper bound of it." }),
      max_output: Type.Integer({ description: "The max_tokens that would be sent." }),
    }),
    cost_usd: nullable(
      Type.Object(
        { min: Type.Number(), max: Type.Number() },
        { description: "Of one call: from an empty answer to one of max_tokens. null if a price is not known." },
      ),
    ),
    quota: nullable(
      Type.Object(
        {
          name: Type.String(),
          deployment: Type.String(),
          unit: Type.String(),
          per: Type.Enum(["minute", "day"]),
          limit: Type.Number(),
          takes: Type.Number({ description: "What the job would reserve of it." }),
        },
        { description: "The one that binds: of which the job takes the largest share." },
      ),
    ),
    position: nullable(Type.Integer()),
    waiting_on: nullable(waitingOn),
    expected_start: nullable(time("null if nothing can be said.")),
    expected_finish: nullable(time("By how long the calls of its model took lately; null if that is not known.")),
  },
  { $id: "DryRun" },
);

/** @param now milliseconds since the epoch */
export function dryRunResource(run: DryRun, now: number): Static<typeof dryRunSchema> {
  const { job, counted, cost, binding, standing, durationMs } = run;
  const waiting = standing?.state === "waiting" ? standing : undefined;
  const start = waiting?.startsInMs === undefined ? undefined : now + waiting.startsInMs;
  const finish = start === undefined || durationMs === undefined ? undefined : Math.round(start + durationMs);
  return {
    dry_run: true,
    environment: job.environment,
    tenant: job.tenant,
    model: job.model,
    priority: job.priority,
    tokens: { input: counted ?? null, input_reserved: job.tokens.input, max_output: job.tokens.output },
    cost_usd: cost ? { min: toUsd(cost.min), max: toUsd(cost.max) } : null,
    quota: binding
      ? {
          name: binding.quota,
          deployment: binding.deployment,
          unit: binding.unit,
          per: binding.per,
          limit: binding.limit,
          takes: binding.takes,
        }
      : null,
    position: waiting?.position ?? null,
    waiting_on: waiting ? waitingOnOf(waiting) : null,
    expected_start: start === undefined ? null : iso(start),
    expected_finish: isoOrNull(finish),
  };
}
