// Converts a list of texts to the request of a job, and checks what needs no count of tokens.
import type { DeploymentSettings, Settings } from "../../config/settings.ts";
import { type EmbeddingRequest, embeddingRequest } from "../../domain/embedding-request.ts";
import { quote, SluiceError } from "../../domain/errors.ts";
import type { JobHead } from "../../domain/job.ts";
import type { EmbeddingOptions } from "../../domain/request.ts";
import { servedBy } from "../served-by.ts";
import type { EmbeddingInput } from "./submit-input.ts";

/** Maximum number of models that an error lists. */
const maxListed = 20;

/**
 * Returns the model of a request for embeddings, and the foundation model that must answer.
 * @throws SluiceError `unknown_model`, or `invalid_request` for a model that makes no embeddings, or an alias of several
 *   models, whose vectors could not be compared
 */
export function embeddingModelOf(
  { models }: Pick<Settings, "models">,
  model: string,
): Pick<JobHead, "model" | "baseModel"> {
  const field = "model";
  const able = Object.keys(models).filter((name) => models[name]!.deployments.every(({ traits }) => traits.embeddings));
  const fit =
    able.length === 0 ? "no model of the configuration does" : `use one of ${able.slice(0, maxListed).join(", ")}`;
  if (!Object.hasOwn(models, model)) {
    throw new SluiceError(
      "unknown_model",
      `model must name a model that makes embeddings: ${fit}; got ${quote(model)}.`,
      {
        field,
      },
    );
  }
  const { deployments } = models[model]!;
  if (!deployments.every(mayEmbed)) {
    throw new SluiceError("invalid_request", `The model ${model} makes no embeddings; ${fit}.`, { field });
  }
  const [{ baseModel, modelId }, ...others] = deployments as [DeploymentSettings, ...DeploymentSettings[]];
  const different = others.find((other) => (other.baseModel ?? other.modelId) !== (baseModel ?? modelId));
  if (different) {
    const both = `${baseModel ?? modelId} and ${different.baseModel ?? different.modelId}`;
    const message = `model must stand for one model, because vectors of two models cannot be compared; ${model} stands for ${both}.`;
    throw new SluiceError("invalid_request", message, { field });
  }
  return { model, ...(baseModel !== undefined && { baseModel }) };
}

/** Whether a deployment can be asked for embeddings: nothing is known about models of OpenAI-compatible servers. */
function mayEmbed({ provider, traits }: DeploymentSettings): boolean {
  return provider === "openai" || traits.embeddings?.body !== undefined;
}

/**
 * Returns the request of a job.
 * @throws SluiceError `too_large`, `invalid_request` (blank or too long texts, dimensions or an input type that the model
 *   does not have)
 */
export function embeddingRequestOf(
  settings: Pick<Settings, "models" | "limits">,
  { texts, embeddings, model }: EmbeddingInput,
): EmbeddingRequest {
  checkSizes(texts, settings.limits.maxPromptBytes);
  for (const { traits } of servedBy(settings, { model })) {
    const { dimensions, textCharacters = Number.POSITIVE_INFINITY, inputTypes } = traits.embeddings ?? {};
    const long = texts.findIndex((text) => text.length > textCharacters);
    if (long >= 0) {
      const field = placeOf(texts, long);
      const message = `${field} has ${texts[long]!.length} characters; ${model} takes at most ${textCharacters} in a text.`;
      throw new SluiceError("invalid_request", message, { field });
    }
    requireKnown(model, "dimensions", embeddings.dimensions, dimensions);
    requireKnown(model, "input_type", embeddings.inputType, inputTypes);
  }
  return embeddingRequest(texts, embeddings);
}

/** Returns how errors name a text. */
export function placeOf(texts: readonly string[], index: number): string {
  return texts.length === 1 ? "input" : `input[${index}]`;
}

function requireKnown<T extends EmbeddingOptions["dimensions"] | EmbeddingOptions["inputType"]>(
  model: string,
  field: string,
  value: T,
  known: readonly T[] | undefined,
): void {
  if (value === undefined || !known || known.includes(value)) return;
  const message =
    known.length === 0
      ? `${field} must not be set for ${model}, which does not have it.`
      : `${field} must be one of ${known.join(", ")} for ${model}; got ${quote(String(value))}.`;
  throw new SluiceError("invalid_request", message, { field });
}

function checkSizes(texts: readonly string[], maxBytes: number): void {
  const field = "input";
  const blank = texts.findIndex((text) => text.trim() === "");
  if (blank >= 0) {
    const place = placeOf(texts, blank);
    throw new SluiceError("invalid_request", `${place} must not be empty or only whitespace.`, { field: place });
  }
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  if (bytes <= maxBytes) return;
  const message = `input is ${bytes} bytes of UTF-8; at most ${maxBytes} are allowed (limits.maxPromptBytes).`;
  throw new SluiceError("too_large", message, { field });
}
