// Finds the model of a native request: an alias, or Bedrock's ID or ARN of a model or an inference profile.
import { partsOf } from "../../config/catalogue.ts";
import type { ModelSettings, Settings } from "../../config/settings.ts";
import { quote, SluiceError } from "../../domain/errors.ts";
import type { JobHead } from "../../domain/job.ts";

/** Maximum number of models that an error lists. */
const maxListed = 20;

/**
 * Returns the alias and the foundation model that serve a native request. An ID that a deployment has literally wins
 * over the same model under another profile. Profiles of one model are the same model: `regions` limits the places.
 * @param requested an alias, or an ID or ARN of Bedrock. Absent: the default model
 * @throws SluiceError `unknown_model`, or `invalid_request` for an alias that does not stand for one Bedrock model
 */
export function nativeModelOf(
  settings: Pick<Settings, "models" | "defaultModel">,
  requested: string = settings.defaultModel,
): Pick<JobHead, "model"> & { baseModel: string } {
  const { models } = settings;
  if (Object.hasOwn(models, requested))
    return { model: requested, baseModel: onlyModelOf(requested, models[requested]!) };
  const deployments = Object.entries(models).flatMap(([model, { deployments }]) =>
    deployments.map(({ modelId, baseModel }) => ({ model, modelId, baseModel })),
  );
  const { bare } = partsOf(requested);
  const found =
    deployments.find(({ modelId, baseModel }) => baseModel !== undefined && modelId === requested) ??
    deployments.find(({ baseModel }) => baseModel === bare);
  if (found?.baseModel !== undefined) return { model: found.model, baseModel: found.baseModel };
  const known = [...new Set(deployments.flatMap(({ model, baseModel }) => (baseModel ? [model, baseModel] : [])))];
  const more = known.length > maxListed ? ` and ${known.length - maxListed} more` : "";
  throw new SluiceError(
    "unknown_model",
    known.length === 0
      ? "No deployment of the configuration is on Bedrock, so no model takes a native request."
      : `model must be one of ${known.slice(0, maxListed).join(", ")}${more}, or an inference profile of them; got ${quote(requested)}.`,
    { field: "model" },
  );
}

function onlyModelOf(alias: string, { deployments }: ModelSettings): string {
  const [first, ...others] = new Set(deployments.flatMap(({ baseModel }) => baseModel ?? []));
  if (first !== undefined && others.length === 0) return first;
  const message =
    first === undefined
      ? `model must be served by Bedrock for a native request; ${alias} is served by other providers only.`
      : `model must name one model for a native request; ${alias} stands for ${[first, ...others].join(" and ")}. Use one of these IDs.`;
  throw new SluiceError("invalid_request", message, { field: "model" });
}
