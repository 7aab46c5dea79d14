// Finds the model of a native request: an alias, or Bedrock's ID or ARN of a model or an inference profile.
import { partsOf } from "../../config/catalogue.ts";
import type { ModelSettings, Settings } from "../../config/settings.ts";
import { quote, SluiceError } from "../../domain/errors.ts";
import { placesOf } from "./model-places.ts";

/** What serves a native request. */
export interface NativeModel {
  /** The alias. */
  model: string;
  /** The foundation model. */
  baseModel: string;
  /** Regions with a deployment that the requested ID allows. Absent: any. */
  regions?: string[];
}

/** Maximum number of models that an error lists. */
const maxListed = 20;

/**
 * Returns what serves a native request. An ID that a deployment has literally wins over the same model under another
 * profile.
 * @param requested an alias, or an ID or ARN of Bedrock. Absent: the default model
 * @throws SluiceError `unknown_model`, or `invalid_request` for an ID that names no model, or an alias that does not
 *   stand for one Bedrock model
 */
export function nativeModelOf(
  settings: Pick<Settings, "models" | "defaultModel">,
  requested: string = settings.defaultModel,
): NativeModel {
  const { models } = settings;
  if (Object.hasOwn(models, requested)) {
    return { model: requested, baseModel: onlyModelOf(requested, models[requested]!) };
  }
  const deployments = Object.entries(models).flatMap(([model, { deployments }]) =>
    deployments.flatMap(({ modelId, baseModel, region }) => (baseModel ? [{ model, modelId, baseModel, region }] : [])),
  );
  const isAllowed = placesOf(requested);
  const near = isAllowed ? deployments.filter(({ region }) => isAllowed(region)) : deployments;
  const { bare } = partsOf(requested);
  const found = near.find(({ modelId }) => modelId === requested) ?? near.find(({ baseModel }) => baseModel === bare);
  if (found) {
    const { model, baseModel } = found;
    const regions = near
      .filter((one) => one.model === model && one.baseModel === baseModel)
      .map(({ region }) => region);
    return { model, baseModel, ...(isAllowed && { regions: [...new Set(regions)] }) };
  }
  throw unknownModel(requested, deployments);
}

function unknownModel(
  requested: string,
  deployments: readonly { model: string; baseModel: string; region: string }[],
): SluiceError {
  const field = { field: "model" };
  const { bare, prefix } = partsOf(requested);
  const elsewhere = [...new Set(deployments.filter((d) => d.baseModel === bare).map(({ region }) => region))];
  if (elsewhere.length > 0) {
    const where = prefix === undefined || requested.startsWith("arn:") ? "the Region" : `the geography ${prefix}`;
    const message = `No deployment is in ${where} of ${quote(requested)}; ${bare} has deployments in ${elsewhere.join(", ")}. Use the ID without a prefix to allow any Region.`;
    return new SluiceError("unknown_model", message, field);
  }
  const known = [...new Set(deployments.flatMap(({ model, baseModel }) => [model, baseModel]))];
  const more = known.length > maxListed ? ` and ${known.length - maxListed} more` : "";
  const message =
    known.length === 0
      ? "No deployment of the configuration is on Bedrock, so no model takes a native request."
      : `model must be one of ${known.slice(0, maxListed).join(", ")}${more}, or an inference profile of them; got ${quote(requested)}.`;
  return new SluiceError("unknown_model", message, field);
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
