// The resource of the advice about quotas.
import Type, { type Static } from "typebox";
import type { AdviceReport, WordedAdvice } from "../jobs/history/advise.ts";
import { iso, isoOrNull, nullable, time } from "./resource-types.ts";

const spread = nullable(
  Type.Object(
    { p50: Type.Number(), p90: Type.Number() },
    { description: "Median and 90th percentile of the minutes with requests. Null without any." },
  ),
);

const advice = Type.Object({
  quota: Type.String(),
  unit: Type.Enum(["tokens", "input_tokens", "output_tokens", "requests"]),
  per: Type.Enum(["minute", "day"]),
  models: Type.Array(Type.String(), { description: "Aliases that use the quota." }),
  deployments: Type.Array(Type.String()),
  configured_limit: Type.Number(),
  effective_limit: Type.Number({ description: "The limit in use, learned from refusals." }),
  status: Type.Enum(["no_history", "enough", "bursts", "restore", "increase"], {
    description:
      "`no_history`: nothing shows the demand. `enough`: it did not hold up work. `bursts`: it did, but is high " +
      "enough. `restore`: the provider refuses below a configured limit that is enough. `increase`: work needs more.",
  }),
  requested_limit: nullable(Type.Number({ description: "The limit to ask for. Null if none is needed or known." })),
  reason: Type.String({ description: "What to do and why." }),
  cautions: Type.Array(Type.String(), { description: "What limits the advice." }),
  form: Type.Enum(["aws_service_quotas", "aws_support_case", "other"], {
    description: "How to ask: in Service Quotas, by a case with AWS Support, or the operator of another server.",
  }),
  text: nullable(Type.String({ description: "Text for the form. Null if there is nothing to ask for." })),
  history_minutes: Type.Integer({ description: "Recorded minutes in which the quota existed." }),
  time_at_limit: Type.Number({ description: "Share of the time in which the quota held up waiting jobs, 0 to 1." }),
  used_mean: Type.Number({ description: "Mean amount in the quota's window." }),
  used_max: Type.Number({ description: "Largest amount in the quota's window that was seen." }),
  demand: nullable(Type.Number({ description: "What the busiest work needs, in the quota's unit and period." })),
  busiest_at: nullable(time("Start of the busiest time.")),
  requests: Type.Integer(),
  throttles: Type.Integer({ description: "Calls that the provider refused because of this quota." }),
  requests_per_minute: spread,
  tokens_per_minute: spread,
  average_input_tokens: nullable(Type.Number({ description: "Per request." })),
  average_output_tokens: nullable(Type.Number({ description: "Per request." })),
});

export const adviceSchema = Type.Object({
  from: time("Start of the history that was read."),
  to: time("End of the history that was read."),
  history_minutes: Type.Integer({ description: "Recorded minutes between `from` and `to`." }),
  quotas: Type.Array(advice),
});

/** Returns the advice as the API shows it. */
export function adviceResource({ from, to, minutes, quotas }: AdviceReport): Static<typeof adviceSchema> {
  return { from: iso(from), to: iso(to), history_minutes: minutes, quotas: quotas.map(rowOf) };
}

function rowOf(advice: WordedAdvice): Static<typeof adviceSchema>["quotas"][number] {
  const { quota, average } = advice;
  return {
    quota: quota.name,
    unit: quota.unit,
    per: quota.per,
    models: [...quota.models],
    deployments: advice.deployments,
    configured_limit: quota.configuredLimit,
    effective_limit: quota.effectiveLimit,
    status: advice.status,
    requested_limit: advice.requestedLimit ?? null,
    reason: advice.reason,
    cautions: advice.cautions,
    form: advice.form,
    text: advice.text ?? null,
    history_minutes: advice.minutes,
    time_at_limit: Math.round(advice.limitedShare * 10_000) / 10_000,
    used_mean: advice.used.mean,
    used_max: advice.used.max,
    demand: advice.demand ?? null,
    busiest_at: isoOrNull(advice.busiestAt),
    requests: advice.requests,
    throttles: advice.throttles,
    requests_per_minute: advice.requestsPerMinute ?? null,
    tokens_per_minute: advice.tokensPerMinute ?? null,
    average_input_tokens: average?.inputTokens ?? null,
    average_output_tokens: average?.outputTokens ?? null,
  };
}
