// Finds the Claude model that a message asks for. A message goes to Bedrock in Claude's own format, so only Claude models
// take it.
import { partsOf } from "../../config/catalogue.ts";
import type { Settings } from "../../config/settings.ts";
import { quote, SluiceError } from "../../domain/errors.ts";
import { nativeModelOf } from "../../jobs/submit/native-model.ts";

type Models = Pick<Settings, "models" | "defaultModel">;

/** Maximum number of models that an error lists. */
const maxListed = 20;

/** An alias that a Claude model on Bedrock serves. */
export interface ClaudeAlias {
  alias: string;
  /** ID of the foundation model, such as anthropic.claude-sonnet-4-5-20250929-v1:0. */
  baseModel: string;
  /** Size of the context, in tokens. */
  contextTokens: number;
  /** Highest `max_tokens`. */
  maxOutputTokens: number;
}

/**
 * Returns the alias or the ID of Bedrock that a message asks for. Anthropic's own name without a date, or with `-latest`
 * in its place, means the newest configured version.
 * @throws SluiceError `invalid_request` for a model that is not Claude, and as `nativeModelOf`
 */
export function claudeModelOf(settings: Models, requested: string): string {
  const isAlias = Object.hasOwn(settings.models, requested);
  const model = isAlias ? requested : (namedModel(settings, requested) ?? requested);
  if (!isClaude(baseModelOf(settings, model))) throw notClaude(settings, requested);
  return model;
}

function baseModelOf(settings: Models, model: string): string {
  try {
    return nativeModelOf(settings, model).baseModel;
  } catch (error) {
    // The model may be configured, but not in the Region that the ID names.
    const isUnknown = error instanceof SluiceError && error.code === "unknown_model";
    if (!isUnknown || claudeModels(settings).includes(partsOf(model).bare)) throw error;
    throw new SluiceError("unknown_model", `${choiceOf(settings)} Got ${quote(model)}.`, { field: "model" });
  }
}

/** Returns the aliases that one Claude model serves. */
export function claudeAliases({ models }: Models): ClaudeAlias[] {
  return Object.entries(models).flatMap(([alias, { deployments, contextTokens }]) => {
    const [baseModel, ...others] = new Set(deployments.map((deployment) => deployment.baseModel));
    if (baseModel === undefined || others.length > 0 || !isClaude(baseModel)) return [];
    return [{ alias, baseModel, contextTokens, maxOutputTokens: deployments[0]!.maxOutputTokens }];
  });
}

/** Returns the Claude models of all deployments, those with the latest names first. */
function claudeModels({ models }: Models): string[] {
  const all = Object.values(models).flatMap(({ deployments }) => deployments.map(({ baseModel = "" }) => baseModel));
  return [...new Set(all.filter(isClaude))].sort().reverse();
}

function isClaude(baseModel: string): boolean {
  return baseModel.startsWith("anthropic.");
}

/** Returns the model that has a name of Anthropic's. */
function namedModel(settings: Models, name: string): string | undefined {
  const models = claudeModels(settings);
  const undated = name.replace(/-latest$/, "");
  return (
    models.find((model) => nameOf(model).name === name) ?? models.find((model) => nameOf(model).undated === undated)
  );
}

/** Returns Anthropic's name of a model, with and without its date. */
export function nameOf(baseModel: string): { name: string; undated: string; date?: string } {
  const name = baseModel.replace(/^anthropic\./, "").replace(/-v\d+(:\w+)*$/, "");
  const [, undated = name, date] = /^(.+)-(\d{8})$/.exec(name) ?? [];
  return { name, undated, ...(date !== undefined && { date }) };
}

function notClaude(settings: Models, requested: string): SluiceError {
  const text = `${quote(requested)} is not a Claude model on Bedrock, and only those take messages. ${choiceOf(settings)} POST /v1/chat/completions takes every model.`;
  return new SluiceError("invalid_request", text, { field: "model" });
}

function choiceOf(settings: Models): string {
  const aliases = claudeAliases(settings).map(({ alias }) => alias);
  const names = [...new Set([...aliases, ...claudeModels(settings).map((model) => nameOf(model).name)])];
  if (names.length === 0) return "model must be a Claude model on Bedrock, and the configuration has none.";
  const more = names.length > maxListed ? ` and ${names.length - maxListed} more` : "";
  return `model must be one of ${names.slice(0, maxListed).join(", ")}${more}, or an ID of Bedrock.`;
}
