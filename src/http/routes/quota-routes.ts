// Serves the quota resource, and the two overrides of learned state: POST /v1/quotas/{name}/reset and POST
// /v1/deployments/{id}/reinstate.
import Type from "typebox";
import { reinstateDeployment, resetQuota } from "../../jobs/control/overrides.ts";
import type { JobsContext } from "../../jobs/jobs-context.ts";
import type { QuotaSnapshot } from "../../scheduler/scheduler.ts";
import { isoOrNull, nullable, time } from "../../wire/resource-types.ts";
import { errorResponses } from "../error-responses.ts";
import type { HttpServer } from "../http-types.ts";

export const quotaSchema = Type.Object({
  name: Type.String(),
  unit: Type.Enum(["tokens", "input_tokens", "output_tokens", "requests"]),
  per: Type.Enum(["minute", "day"]),
  configured_limit: Type.Number(),
  effective_limit: Type.Number({ description: "The limit in use, learned from refusals." }),
  configured_burst: Type.Number({
    description: "The amount that may start at once. The rest is spread over the window.",
  }),
  effective_burst: Type.Number({
    description:
      "The burst in use, learned from refusals. Reduced in proportion if the effective limit is below the configured one.",
  }),
  probing: Type.Boolean({ description: "Whether Sluice is trying more than the limit that is known to work." }),
  throttled_at: nullable(time("When the provider last refused a call because of this quota.")),
  closed_until: nullable(time("When calls may start again after the provider refused one.")),
  used: Type.Number({ description: "Amount in the current window: reserved and settled." }),
  reserved: Type.Number({ description: "The part of it that running calls reserve." }),
  settled: Type.Number({
    description: "The part of it that ended calls used, or had reserved if their usage is unknown.",
  }),
  next_free_at: nullable(time("When the oldest charge leaves the window.")),
});

/**
 * Returns a quota as the API shows it.
 * @param now milliseconds since the epoch
 */
export function quotaResource(quota: QuotaSnapshot, now: number) {
  const at = (ms: number | undefined) => isoOrNull(ms === undefined ? undefined : now + ms);
  const { throttledAgoMs } = quota;
  return {
    name: quota.name,
    unit: quota.unit,
    per: quota.per,
    configured_limit: quota.configuredLimit,
    effective_limit: quota.effectiveLimit,
    configured_burst: quota.configuredBurst,
    effective_burst: quota.effectiveBurst,
    probing: quota.probing,
    throttled_at: at(throttledAgoMs === undefined ? undefined : -throttledAgoMs),
    closed_until: at(quota.closedForMs),
    used: quota.used,
    reserved: quota.reserved,
    settled: quota.settled,
    next_free_at: at(quota.nextFreeInMs),
  };
}

const state = Type.Object({
  id: Type.String(),
  state: Type.Enum(["in_service", "cooling_down", "out_of_service"]),
});

export function quotaRoutes(app: HttpServer, context: JobsContext): void {
  const tags = ["service"];
  const errors = errorResponses(["invalid_request", "forbidden", "not_found", "unavailable"]);

  app.post(
    "/v1/quotas/:name/reset",
    {
      schema: {
        tags,
        operationId: "resetQuota",
        summary: "Reset the learned limit of a quota",
        description:
          "Restores the configured limit and burst and opens the quota at once. Use it after the provider " +
          "has raised the quota. Otherwise Sluice finds the new limit by itself, a little more each minute.",
        params: Type.Object({ name: Type.String({ description: "Percent-encoded." }) }),
        response: { 200: quotaSchema, ...errors },
      },
    },
    async ({ params: { name }, caller }) => {
      return quotaResource(await resetQuota(context, name, caller), context.clock.wall());
    },
  );

  app.post(
    "/v1/deployments/:id/reinstate",
    {
      schema: {
        tags,
        operationId: "reinstateDeployment",
        summary: "Reinstate a deployment",
        description:
          "Ends a cool-down, a wait for the next day's tokens, or being out of service, at once. If the cause " +
          "persists, the next call detects it again.",
        params: Type.Object({ id: Type.String({ description: "Percent-encoded." }) }),
        response: { 200: state, ...errors },
      },
    },
    async ({ params: { id }, caller }) => {
      const { state } = await reinstateDeployment(context, id, caller);
      return { id, state };
    },
  );
}
