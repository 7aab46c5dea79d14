// The models that the simulator knows, and what they support. A snapshot of the Bedrock catalogue of autumn 2026, as
// far as it decides whether a request is valid. `SimulatorOptions.models` extends and overrides it.

export type Operation =
  | "Converse"
  | "ConverseStream"
  | "InvokeModel"
  | "InvokeModelWithResponseStream"
  | "CountTokens"
  | "ChatCompletions"
  | "Embeddings";

import { type ModelRules, rulesOf } from "./model-rules.ts";

/** What a model supports. */
export interface ModelTraits {
  /** Highest `max_tokens` of a call, and the reservation of a call that names none. */
  maxOutputTokens: number;
  /** Longest input and output together, in tokens. */
  contextTokens: number;
  /** Quota tokens charged per output token when a call is settled. */
  outputBurndown: number;
  /** Whether the model supports the streaming operations. */
  streaming: boolean;
  /** Whether the model supports tools in the streaming operations. */
  streamingTools: boolean;
  /** Whether the bare ID is refused, so that an inference profile must be called. */
  profileOnly: boolean;
  /** Whether CountTokens accepts the bare ID. It never accepts a profile. */
  countsTokens: boolean;
  /** Format of the model's bodies if it makes embeddings. Absent: it generates text. */
  embedding?: "titan" | "cohere";
  /** Cost of one token in the quota of the day, which weights models by their price. */
  dayWeight: number;
}

const defaultTraits: ModelTraits = {
  maxOutputTokens: 4_096,
  contextTokens: 128_000,
  outputBurndown: 1,
  streaming: true,
  streamingTools: true,
  profileOnly: false,
  countsTokens: false,
  dayWeight: 1,
};

const llama3 = { streamingTools: false };
const llama4 = { maxOutputTokens: 16_384, contextTokens: 1_000_000, streamingTools: false, profileOnly: true };
const claude = {
  maxOutputTokens: 64_000,
  contextTokens: 200_000,
  outputBurndown: 5,
  profileOnly: true,
  countsTokens: true,
};
const claudeLarge = { ...claude, maxOutputTokens: 128_000, contextTokens: 1_000_000 };
const claude5 = { ...claudeLarge, outputBurndown: 10, countsTokens: false };
const nova = { maxOutputTokens: 8_192, contextTokens: 300_000 };
const qwen = { maxOutputTokens: 16_384 };
const titanEmbedding = { embedding: "titan" as const, maxOutputTokens: 0, contextTokens: 8_192, streaming: false };
const cohereEmbedding = { ...titanEmbedding, embedding: "cohere" as const, contextTokens: 49_152 };

/** Traits by the bare ID, without the prefix of an inference profile. */
const catalogue: Record<string, Partial<ModelTraits>> = {
  "meta.llama3-1-8b-instruct-v1:0": llama3,
  "meta.llama3-1-70b-instruct-v1:0": llama3,
  "meta.llama3-3-70b-instruct-v1:0": llama3,
  "meta.llama4-maverick-17b-instruct-v1:0": llama4,
  "meta.llama4-scout-17b-instruct-v1:0": { ...llama4, contextTokens: 3_500_000 },
  "amazon.nova-micro-v1:0": { ...nova, contextTokens: 128_000 },
  "amazon.nova-lite-v1:0": nova,
  "amazon.nova-pro-v1:0": nova,
  "amazon.nova-2-lite-v1:0": { maxOutputTokens: 64_000, contextTokens: 1_000_000 },
  "anthropic.claude-haiku-4-5-20251001-v1:0": claude,
  "anthropic.claude-sonnet-4-5-20250929-v1:0": claude,
  "anthropic.claude-sonnet-4-6": claudeLarge,
  "anthropic.claude-opus-4-6-v1": claudeLarge,
  "anthropic.claude-opus-4-7": claudeLarge,
  "anthropic.claude-opus-4-8": { ...claudeLarge, outputBurndown: 15 },
  "anthropic.claude-sonnet-5": claude5,
  "anthropic.claude-opus-5": claude5,
  "openai.gpt-oss-20b-1:0": { maxOutputTokens: 16_384 },
  "openai.gpt-oss-120b-1:0": { maxOutputTokens: 16_384 },
  "mistral.mistral-large-3-675b-instruct": { maxOutputTokens: 32_768, contextTokens: 256_000 },
  "mistral.ministral-3-8b-instruct": { maxOutputTokens: 32_768, contextTokens: 256_000 },
  "deepseek.v3-v1:0": { maxOutputTokens: 82_000, contextTokens: 164_000 },
  "deepseek.v3.2": { maxOutputTokens: 82_000, contextTokens: 164_000 },
  "deepseek.r1-v1:0": { maxOutputTokens: 32_768, profileOnly: true },
  "amazon.titan-embed-text-v2:0": titanEmbedding,
  "cohere.embed-english-v3": cohereEmbedding,
  "cohere.embed-multilingual-v3": cohereEmbedding,
  "cohere.embed-v4:0": { ...cohereEmbedding, contextTokens: 128_000 },
  "qwen.qwen3-32b-v1:0": qwen,
  "qwen.qwen3-235b-a22b-2507-v1:0": { ...qwen, contextTokens: 262_144 },
};

const profilePrefix = /^(?:us|eu|apac|au|jp|ca|us-gov|global)\./;

/** What an operator may set for a model. */
export interface SimulatedModel extends Partial<Omit<ModelTraits, "embedding">> {
  /** Replaces the option of the same name. */
  requestsPerMinute?: number;
  tokensPerMinute?: number;
}

/** A model as a request calls it. */
export interface CalledModel extends ModelTraits, Pick<SimulatedModel, "requestsPerMinute" | "tokensPerMinute"> {
  /** ID as it was called, without an ARN. Quotas count by it, because a profile and a bare ID have separate quotas. */
  id: string;
  /** Whether the ID is that of the model itself and not of an inference profile. */
  bare: boolean;
  /** What the model refuses that other models accept. */
  rules: ModelRules;
}

/** Reduces an ARN to the ID at its end. */
export function calledId(modelId: string): string {
  return modelId.startsWith("arn:") ? modelId.slice(modelId.lastIndexOf("/") + 1) : modelId;
}

/** Removes the prefix of an inference profile. */
export function bareModelId(id: string): string {
  return id.replace(profilePrefix, "");
}

/** Returns the bare IDs that the simulator knows, and the IDs of the options. */
export function knownModels(overrides: Record<string, SimulatedModel>): string[] {
  return [...new Set([...Object.keys(catalogue), ...Object.keys(overrides)])];
}

/** Returns the called model, or undefined if it does not exist. */
export function findModel(modelId: string, overrides: Record<string, SimulatedModel>): CalledModel | undefined {
  const id = calledId(modelId);
  const bareId = bareModelId(id);
  const known = [own(catalogue, bareId), own(overrides, bareId), own(overrides, id)];
  if (known.every((traits) => traits === undefined)) return undefined;
  const called = { id, bare: id === bareId, rules: rulesOf(bareId) };
  return Object.assign(called, defaultTraits, ...known);
}

/** Reads an own property, because an ID comes from the network, and `constructor` is not a model. */
function own<T>(record: Record<string, T>, key: string): T | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}
