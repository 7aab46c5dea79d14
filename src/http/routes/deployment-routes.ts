// Serves GET /v1/deployments: the models, their deployments, and the use of their quotas.
import Type from "typebox";
import { lifecycleOf } from "../../config/lifecycle.ts";
import type { DeploymentSettings, Settings } from "../../config/settings.ts";
import type { JobsContext } from "../../jobs/jobs-context.ts";
import type { LearnedRatios } from "../../jobs/tokens/token-ratios.ts";
import type { PauseTarget, SchedulerSnapshot } from "../../scheduler/scheduler.ts";
import { isoOrNull, nullable, time } from "../../wire/resource-types.ts";
import { errorResponses } from "../error-responses.ts";
import type { HttpServer } from "../http-types.ts";
import { quotaResource, quotaSchema } from "./quota-routes.ts";

const model = Type.Object({
  name: Type.String({ description: "The alias to use in a job." }),
  default: Type.Boolean({ description: "Whether jobs without a model use this one." }),
  max_output_tokens: Type.Integer({ description: "Sent as max_tokens if a job does not set it." }),
  max_output_tokens_limit: Type.Integer({ description: "Maximum max_tokens of a job." }),
  context_tokens: Type.Integer({ description: "Maximum number of input and output tokens together." }),
  deployments: Type.Array(Type.String()),
  tokens_seen: nullable(
    Type.Object(
      {
        input_ratio: Type.Number({
          description: "Input tokens counted by the provider for each one that Sluice counts.",
        }),
        output_share: Type.Number({
          description: "The share of max_tokens that answers use. The rest is reserved but unused.",
        }),
      },
      { description: "Averages over successful calls. Null until there is one." },
    ),
  ),
});

const lifecycle = Type.Object({
  status: Type.Enum(["active", "legacy", "end_of_life"], {
    description:
      "Status according to the catalogue. `legacy`: unavailable to accounts that have not used the model recently.",
  }),
  legacy_since: nullable(Type.String({ format: "date" })),
  end_of_life: nullable(Type.String({ format: "date" })),
  alternative: nullable(Type.String({ description: "The configured alias to use instead." })),
});

const deployment = Type.Object({
  id: Type.String(),
  region: Type.String(),
  account: nullable(
    Type.String({ description: "The account whose credentials are used. Null for the service's default credentials." }),
  ),
  model_id: Type.String(),
  state: Type.Enum(["in_service", "cooling_down", "out_of_service"]),
  reason: nullable(Type.String()),
  until: nullable(time("When Sluice tries the deployment again.")),
  paused: Type.Boolean({
    description: "Whether an operator paused the deployment or a model that it serves. See GET /v1/pauses.",
  }),
  running: Type.Integer({ description: "Number of calls running now." }),
  max_concurrency: Type.Integer(),
  quotas: Type.Array(Type.String()),
  lifecycle: nullable(lifecycle),
});

export function deploymentRoutes(app: HttpServer, context: JobsContext): void {
  app.get(
    "/v1/deployments",
    {
      schema: {
        tags: ["service"],
        operationId: "listDeployments",
        summary: "List models, deployments and quotas",
        response: {
          200: Type.Object({
            models: Type.Array(model),
            deployments: Type.Array(deployment),
            quotas: Type.Array(quotaSchema),
          }),
          ...errorResponses(["unavailable"]),
        },
      },
    },
    async () => deploymentsResource(context, await context.scheduler.snapshot()),
  );
}

/** Returns the models, their deployments and quotas as the API shows them. */
export function deploymentsResource(context: JobsContext, { deployments, quotas, paused }: SchedulerSnapshot) {
  const { settings, tokenRatios, clock } = context;
  const now = clock.wall();
  const configured = new Map(
    Object.values(settings.models).flatMap((m) =>
      m.deployments.map((d) => [d.id, { ...d, alternative: m.alternative ?? null }] as const),
    ),
  );
  return {
    models: Object.entries(settings.models).map(([name, m]) => ({
      name,
      default: name === settings.defaultModel,
      max_output_tokens: m.maxOutputTokens,
      max_output_tokens_limit: m.maxOutputTokensLimit,
      context_tokens: m.contextTokens,
      deployments: m.deployments.map((d) => d.id),
      tokens_seen: tokensSeen(tokenRatios?.learned(name)),
    })),
    deployments: deployments.map((d) => ({
      id: d.id,
      region: configured.get(d.id)?.region ?? "",
      account: configured.get(d.id)?.account?.label ?? null,
      model_id: configured.get(d.id)?.modelId ?? "",
      state: d.state,
      reason: d.reason ?? null,
      until: isoOrNull(d.forMs === undefined ? undefined : now + d.forMs),
      paused: paused.some((target) => holdsUp(settings, target, d.id)),
      running: d.running,
      max_concurrency: d.maxConcurrency,
      quotas: configured.get(d.id)?.quotas.map((q) => q.name) ?? [],
      lifecycle: lifecycleResource(configured.get(d.id), now),
    })),
    quotas: quotas.map((quota) => quotaResource(quota, now)),
  };
}

function holdsUp({ models }: Settings, target: PauseTarget, id: string): boolean {
  if ("deployment" in target) return target.deployment === id;
  if (!("model" in target) || !Object.hasOwn(models, target.model)) return false;
  return models[target.model]!.deployments.some((deployment) => deployment.id === id);
}

function lifecycleResource(deployment: (DeploymentSettings & { alternative: string | null }) | undefined, now: number) {
  if (deployment === undefined) return null;
  const { status, legacySince = null, endOfLife = null } = lifecycleOf(deployment, now);
  return { status, legacy_since: legacySince, end_of_life: endOfLife, alternative: deployment.alternative };
}

function tokensSeen(learned: LearnedRatios | undefined) {
  const rounded = (ratio: number) => Math.round(ratio * 1000) / 1000;
  return learned ? { input_ratio: rounded(learned.input), output_share: rounded(learned.output) } : null;
}
