// The text models of Amazon Bedrock as of November 2026: one row per model, by its bare ID. Data only: catalogue.ts
// finds rows, and docs/models.md shows them as a table.
//
// Context, longest answer and prices are a snapshot of models.dev from July 2026 unless AWS's own pages said otherwise.
// Prices are those of us-east-1. Prices of cache reads and writes come from that snapshot alone. Nothing here was
// checked against an account. `unconfirmed` names the values that rest on a single report or a guess. Where nothing at
// all was found, the key is missing.
import type { ModelRow } from "./model-traits.ts";

/** A row of the built-in catalogue. */
export interface CatalogueRow extends ModelRow {
  /** Inference profiles that exist, by the prefix of their IDs. */
  profiles?: string[];
  /** Whether the bare ID can be called, and not only a profile. */
  onDemand?: boolean;
  /**
   * How many times higher prices are when the model is not called through the global profile. `prices` are those of
   * that profile.
   */
  regionalPriceFactor?: number;
  /** Whether only the endpoint bedrock-mantle serves the model. Sluice does not call that endpoint. */
  mantleOnly?: boolean;
  /** Keys of values that rest on a single report or a guess. */
  unconfirmed?: (keyof CatalogueRow)[];
}

type Unconfirmed = NonNullable<CatalogueRow["unconfirmed"]>;

function price(input: number, output: number, cacheRead?: number, cacheWrite?: number): CatalogueRow["prices"] {
  return {
    input,
    output,
    ...(cacheRead !== undefined && { cacheRead }),
    ...(cacheWrite !== undefined && { cacheWrite }),
  };
}

const retired = { endOfLife: "2027-03-30" };

// ---------------------------------------------------------------- families

// Llama's vocabulary extends cl100k: its own counts match for English, German and code, and are lower elsewhere.
const llama: CatalogueRow = {
  tokenFactor: 1,
  tools: true,
  streamingTools: false,
  jsonSchema: false,
  prefill: "refused",
  refuses: ["forced_tool_choice"],
  promptCache: "none",
  profiles: ["us"],
};
const llama31: CatalogueRow = {
  ...llama,
  contextTokens: 128_000,
  maxOutputTokens: 4096,
  unconfirmed: ["streamingTools", "jsonSchema", "maxOutputTokens"],
};
const llama33: CatalogueRow = {
  ...llama31,
  onDemand: true,
  regions: ["us-east-1", "us-east-2", "us-west-2"],
  unconfirmed: ["jsonSchema"],
};
// AWS's page says that Llama 4 cannot stream. Users report that only tools in a stream fail.
const llama4: CatalogueRow = {
  ...llama,
  streaming: true,
  maxOutputTokens: 16_384,
  onDemand: false,
  unconfirmed: ["streaming", "onDemand", "jsonSchema"],
};

const novaUnconfirmed: Unconfirmed = ["fields", "jsonSchema"];
const nova: CatalogueRow = {
  tokenFactor: 1.2,
  contextTokens: 300_000,
  maxOutputTokens: 8192,
  tools: true,
  jsonSchema: false,
  prefill: "taken",
  maxTopK: 128,
  promptCache: "5m",
  toolCache: false,
  profiles: ["us", "eu", "apac"],
  onDemand: true,
  fields: { top_k: "inferenceConfig.topK" },
  unconfirmed: novaUnconfirmed,
};

const claude: CatalogueRow = {
  tokenFactor: 1.3,
  contextTokens: 200_000,
  maxOutputTokens: 64_000,
  outputBurndown: 5,
  tools: true,
  jsonSchema: false,
  prefill: "trimmed",
  maxTopK: 500,
  rootComposition: false,
  schemaDraft: "2020-12",
  refuses: ["blank_stop"],
  promptCache: "1h",
  profiles: ["us", "eu", "au", "jp", "global"],
  regionalPriceFactor: 1.1,
  fields: { top_k: "top_k" },
  unconfirmed: ["promptCache", "fields", "regionalPriceFactor"],
};
/** From 4.1 on, a request may set temperature or top_p, but not both. */
const claude41: CatalogueRow = { ...claude, refuses: [...claude.refuses!, "temperature_with_top_p"] };
const claudeSchema: CatalogueRow = { ...claude41, jsonSchema: true };
const claude45: CatalogueRow = {
  ...claudeSchema,
  unconfirmed: [...claude.unconfirmed!, "contextTokens", "maxOutputTokens", "prices"],
};
const claude46: CatalogueRow = { ...claudeSchema, contextTokens: 1_000_000, prefill: "refused" };
// From Claude 4.7 on, tokenizers produce up to 1.77 times as many tokens as local estimates predict.
const claude47: CatalogueRow = {
  ...claude,
  // AWS's list of models with structured output ends before this model. Whether AWS only forgot it is unknown.
  jsonSchema: undefined,
  prefill: "refused",
  tokenFactor: 1.8,
  contextTokens: 1_000_000,
  maxOutputTokens: 128_000,
  fields: {},
  refuses: ["temperature", "top_p", "top_k", ...claude.refuses!],
  unconfirmed: [...claude.unconfirmed!, "refuses"],
};
const claude5: CatalogueRow = {
  ...claude47,
  outputBurndown: 10,
  refuses: [...claude47.refuses!, "forced_tool_choice"],
};
const defaultTierOnly: CatalogueRow = { serviceTiers: ["default"] };

/** Models with open weights: served in the Region itself, without a prompt cache. */
const open: CatalogueRow = { tokenFactor: 1.1, tools: true, promptCache: "none", onDemand: true };
const openSchema: CatalogueRow = { ...open, jsonSchema: true, unconfirmed: ["jsonSchema"] };
const withoutStop: CatalogueRow = { ...openSchema, refuses: ["stop"] };
const fromSnapshot: Unconfirmed = ["jsonSchema", "contextTokens", "maxOutputTokens"];

const gptOss: CatalogueRow = {
  ...withoutStop,
  contextTokens: 128_000,
  maxOutputTokens: 16_384,
  fields: { reasoning_effort: "reasoning_effort" },
  reasoningEfforts: ["low", "medium", "high"],
  unconfirmed: ["jsonSchema", "fields"],
};
// A user tried these efforts on GPT-5.6 and 6 (stdapi-ai/stdapi.ai#283). No other report lists them.
const gpt: CatalogueRow = {
  profiles: ["us"],
  onDemand: false,
  refuses: ["stop"],
  promptCache: "none",
  fields: { reasoning_effort: "reasoning.effort" },
  reasoningEfforts: ["none", "low", "medium", "high", "xhigh", "max"],
  unconfirmed: ["fields", "reasoningEfforts"],
};
const mistral: CatalogueRow = { ...openSchema, tokenFactor: 1.2, toolCallIdLength: 9, unconfirmed: fromSnapshot };
const mistralSmall: CatalogueRow = { ...mistral, contextTokens: 128_000, maxOutputTokens: 4096 };
const deepseek: CatalogueRow = {
  ...withoutStop,
  tokenFactor: 1.2,
  contextTokens: 163_840,
  maxOutputTokens: 81_920,
};
const qwen: CatalogueRow = {
  ...withoutStop,
  contextTokens: 262_144,
  maxOutputTokens: 131_072,
  unconfirmed: fromSnapshot,
};
const snapshot: CatalogueRow = { ...openSchema, unconfirmed: fromSnapshot };
const snapshotWithoutStop: CatalogueRow = { ...withoutStop, unconfirmed: fromSnapshot };
const plainSnapshot: CatalogueRow = { ...open, unconfirmed: ["contextTokens", "maxOutputTokens"] };
const gemma: CatalogueRow = { ...snapshot, ...retired };

// ---------------------------------------------------------------- models

/** Rows by the bare ID of a model. */
export const modelRows: Record<string, CatalogueRow> = {
  "meta.llama3-1-8b-instruct-v1:0": { ...llama31, prices: price(0.22, 0.22) },
  "meta.llama3-1-70b-instruct-v1:0": { ...llama31, prices: price(0.72, 0.72) },
  "meta.llama3-1-405b-instruct-v1:0": { ...llama31, endOfLife: "2026-07-07" },
  "meta.llama3-3-70b-instruct-v1:0": { ...llama33, prices: price(0.72, 0.72), ...retired },
  "meta.llama4-maverick-17b-instruct-v1:0": { ...llama4, contextTokens: 1_000_000, prices: price(0.24, 0.97) },
  "meta.llama4-scout-17b-instruct-v1:0": { ...llama4, contextTokens: 3_500_000, prices: price(0.17, 0.66) },

  "amazon.nova-micro-v1:0": { ...nova, contextTokens: 128_000, prices: price(0.035, 0.14, 0.00875) },
  "amazon.nova-lite-v1:0": { ...nova, prices: price(0.06, 0.24, 0.015) },
  "amazon.nova-pro-v1:0": {
    ...nova,
    prices: price(0.8, 3.2, 0.2),
    serviceTiers: ["default", "priority", "flex"],
    unconfirmed: [...novaUnconfirmed, "serviceTiers"],
  },
  // This model is past its end of life. The date is the day on which that was observed.
  "amazon.nova-premier-v1:0": { ...nova, endOfLife: "2026-11-22", unconfirmed: [...novaUnconfirmed, "endOfLife"] },
  "amazon.nova-2-lite-v1:0": {
    ...nova,
    contextTokens: 1_000_000,
    maxOutputTokens: 64_000,
    profiles: ["us", "global"],
    prices: price(0.33, 2.75),
    unconfirmed: [...novaUnconfirmed, "contextTokens", "maxOutputTokens", "onDemand"],
  },

  "anthropic.claude-haiku-4-5-20251001-v1:0": {
    ...claudeSchema,
    ...defaultTierOnly,
    onDemand: false,
    prices: price(1, 5, 0.1, 1.25),
  },
  "anthropic.claude-sonnet-4-5-20250929-v1:0": { ...claude45, prices: price(3, 15, 0.3, 3.75) },
  "anthropic.claude-opus-4-5-20251101-v1:0": { ...claude45, prices: price(5, 25, 0.5, 6.25) },
  "anthropic.claude-sonnet-4-6": { ...claude46, ...defaultTierOnly, prices: price(3, 15, 0.3, 3.75) },
  "anthropic.claude-opus-4-6-v1": { ...claude46, maxOutputTokens: 128_000, prices: price(5, 25, 0.5, 6.25) },
  "anthropic.claude-opus-4-7": { ...claude47, prices: price(5, 25, 0.5, 6.25) },
  "anthropic.claude-opus-4-8": { ...claude47, outputBurndown: 15, prices: price(5, 25, 0.5, 6.25) },
  "anthropic.claude-sonnet-5": {
    ...claude5,
    ...defaultTierOnly,
    jsonSchema: true,
    prices: price(2, 10, 0.2, 2.5),
    unconfirmed: [...claude5.unconfirmed!, "jsonSchema"],
  },
  "anthropic.claude-opus-5": { ...claude5, prices: price(5, 25) },
  // The price is Anthropic's own.
  "anthropic.claude-opus-5-5": { ...claude5, prices: price(4, 20), unconfirmed: [...claude5.unconfirmed!, "prices"] },
  "anthropic.claude-fable-5": {
    ...claude5,
    prices: price(10, 50, 1, 12.5),
    unconfirmed: [...claude5.unconfirmed!, "outputBurndown"],
  },
  "anthropic.claude-fable-5-1": { ...claude5, prices: price(10, 50) },

  "openai.gpt-oss-20b-1:0": { ...gptOss, prices: price(0.07, 0.3) },
  "openai.gpt-oss-120b-1:0": { ...gptOss, prices: price(0.15, 0.6) },
  "openai.gpt-5.6-sol": { ...gpt, outputBurndown: 10 },
  "openai.gpt-5.6-terra": { ...gpt, outputBurndown: 10 },
  "openai.gpt-5.6-luna": { ...gpt, outputBurndown: 10 },
  "openai.gpt-6-astra": gpt,
  "openai.gpt-6-sol": gpt,
  "openai.gpt-6-luna": gpt,
  "openai.gpt-5.4": { mantleOnly: true },
  "openai.gpt-5.5": { mantleOnly: true },

  "mistral.mistral-large-3-675b-instruct": {
    ...mistral,
    contextTokens: 256_000,
    maxOutputTokens: 8192,
    prices: price(0.5, 1.5),
  },
  "mistral.ministral-3-3b-instruct": {
    ...mistral,
    contextTokens: 256_000,
    maxOutputTokens: 8192,
    prices: price(0.1, 0.1),
  },
  "mistral.ministral-3-8b-instruct": { ...mistralSmall, prices: price(0.15, 0.15) },
  "mistral.ministral-3-14b-instruct": { ...mistralSmall, prices: price(0.2, 0.2) },
  "mistral.magistral-small-2509": {
    ...mistral,
    contextTokens: 128_000,
    maxOutputTokens: 40_000,
    prices: price(0.5, 1.5),
  },
  "mistral.devstral-2-123b": { ...mistral, contextTokens: 256_000, maxOutputTokens: 8192, prices: price(0.4, 2) },

  "deepseek.r1-v1:0": {
    tokenFactor: 1.2,
    contextTokens: 128_000,
    maxOutputTokens: 32_768,
    tools: false,
    promptCache: "none",
    refuses: ["stop"],
    profiles: ["us"],
    onDemand: false,
    prices: price(1.35, 5.4),
    ...retired,
    unconfirmed: ["onDemand"],
  },
  "deepseek.v3-v1:0": { ...deepseek, prices: price(0.58, 1.68) },
  "deepseek.v3.2": { ...deepseek, prices: price(0.62, 1.85) },

  "qwen.qwen3-32b-v1:0": { ...qwen, contextTokens: 16_384, maxOutputTokens: 8192, prices: price(0.15, 0.6) },
  "qwen.qwen3-235b-a22b-2507-v1:0": { ...qwen, prices: price(0.22, 0.88) },
  "qwen.qwen3-coder-30b-a3b-v1:0": { ...qwen, prices: price(0.15, 0.6) },
  "qwen.qwen3-coder-480b-a35b-v1:0": {
    ...qwen,
    contextTokens: 131_072,
    maxOutputTokens: 65_536,
    prices: price(0.22, 1.8),
    ...retired,
  },
  "qwen.qwen3-next-80b-a3b": { ...qwen, contextTokens: 262_000, maxOutputTokens: 262_000, prices: price(0.14, 1.4) },

  "zai.glm-5": { ...snapshot, contextTokens: 202_752, maxOutputTokens: 101_376, prices: price(1, 3.2) },
  "zai.glm-4.7": { ...snapshot, contextTokens: 204_800, maxOutputTokens: 131_072, prices: price(0.6, 2.2) },
  "minimax.minimax-m2": {
    ...snapshotWithoutStop,
    contextTokens: 204_608,
    maxOutputTokens: 128_000,
    prices: price(0.3, 1.2),
  },
  "minimax.minimax-m2.1": {
    ...snapshotWithoutStop,
    contextTokens: 204_800,
    maxOutputTokens: 131_072,
    prices: price(0.3, 1.2),
  },
  "minimax.minimax-m2.5": {
    ...snapshotWithoutStop,
    contextTokens: 196_608,
    maxOutputTokens: 98_304,
    prices: price(0.3, 1.2),
  },
  "moonshotai.kimi-k2.5": {
    ...snapshotWithoutStop,
    contextTokens: 262_143,
    maxOutputTokens: 16_000,
    prices: price(0.6, 3),
  },
  "nvidia.nemotron-nano-9b-v2": {
    ...snapshot,
    contextTokens: 128_000,
    maxOutputTokens: 4096,
    prices: price(0.06, 0.23),
  },
  "nvidia.nemotron-nano-12b-v2": {
    ...snapshot,
    contextTokens: 128_000,
    maxOutputTokens: 4096,
    prices: price(0.2, 0.6),
  },
  "nvidia.nemotron-nano-3-30b": {
    ...snapshot,
    contextTokens: 128_000,
    maxOutputTokens: 4096,
    prices: price(0.06, 0.24),
  },
  "nvidia.nemotron-super-3-120b": {
    ...snapshot,
    contextTokens: 262_144,
    maxOutputTokens: 131_072,
    prices: price(0.15, 0.65),
  },
  "google.gemma-3-4b-it": { ...gemma, contextTokens: 128_000, maxOutputTokens: 4096, prices: price(0.04, 0.08) },
  "google.gemma-3-12b-it": {
    ...gemma,
    tools: false,
    contextTokens: 131_072,
    maxOutputTokens: 8192,
    prices: price(0.05, 0.1),
    unconfirmed: [...fromSnapshot, "tools"],
  },
  "google.gemma-3-27b-it": { ...gemma, contextTokens: 202_752, maxOutputTokens: 8192, prices: price(0.12, 0.2) },
  "writer.palmyra-x4-v1:0": { ...plainSnapshot, contextTokens: 122_880, maxOutputTokens: 8192, prices: price(2.5, 10) },
  "writer.palmyra-x5-v1:0": {
    ...plainSnapshot,
    contextTokens: 1_040_000,
    maxOutputTokens: 8192,
    prices: price(0.6, 6),
  },
  "xai.grok-4.3": { mantleOnly: true },
};

/**
 * Rows for models without a row of their own, by the beginning of the bare ID. The longest beginning that fits wins.
 */
export const familyRows: Record<string, CatalogueRow> = {
  "meta.llama3-": llama31,
  "meta.llama4-": { ...llama4, contextTokens: 1_000_000 },
  "amazon.nova-": nova,
  // A Claude newer than the table gets the values of the newest family. An older one gets those of the oldest.
  "anthropic.claude-": claude5,
  "anthropic.claude-3-": claude,
  "anthropic.claude-haiku-4-": claude,
  "anthropic.claude-sonnet-4-": claude,
  "anthropic.claude-opus-4-": claude,
  "anthropic.claude-opus-4-1": claude41,
  "openai.gpt-oss-": gptOss,
  "openai.gpt-5.6-": { ...gpt, outputBurndown: 10 },
  "openai.gpt-": gpt,
  "mistral.": { ...mistral, contextTokens: 128_000, maxOutputTokens: 8192 },
  "deepseek.": { ...deepseek, contextTokens: 128_000, maxOutputTokens: 32_768 },
  "qwen.": { ...qwen, contextTokens: 128_000, maxOutputTokens: 16_384 },
};
