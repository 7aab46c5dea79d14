// What the models of a family have in common. Data only; see catalogue-rows.ts.
import { type DocumentFormat, documentTypes } from "../domain/media.ts";
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

export const retired = { endOfLife: "2027-03-30" };

const everyDocument = Object.keys(documentTypes) as DocumentFormat[];

// Llama's vocabulary extends cl100k: its own counts match for English, German and code, and are lower elsewhere.
const llama: CatalogueRow = {
  tokenFactor: 1,
  tools: true,
  streamingTools: false,
  jsonSchema: false,
  prefill: "refused",
  refuses: ["forced_tool_choice"],
  promptCache: "none",
  pastReasoning: "dropped",
  profiles: ["us"],
};
export const llama31: CatalogueRow = {
  ...llama,
  contextTokens: 128_000,
  maxOutputTokens: 4096,
  images: false,
  unconfirmed: ["streamingTools", "jsonSchema", "maxOutputTokens", "pastReasoning"],
};
/** An image is cut into at most four tiles of 1,601 tokens. */
export const llama32Vision: CatalogueRow = { ...llama31, images: true, imageTokens: 6_500 };
export const llama33: CatalogueRow = {
  ...llama31,
  onDemand: true,
  regions: ["us-east-1", "us-east-2", "us-west-2"],
  unconfirmed: ["jsonSchema", "pastReasoning"],
};
// AWS's page says that Llama 4 cannot stream. Users report that only tools in a stream fail.
export const llama4: CatalogueRow = {
  ...llama,
  streaming: true,
  maxOutputTokens: 16_384,
  onDemand: false,
  images: true,
  // At most 17 tiles of 144 tokens.
  imageTokens: 2_500,
  unconfirmed: ["streaming", "onDemand", "jsonSchema", "imageTokens", "pastReasoning"],
};

export const novaUnconfirmed: Unconfirmed = ["fields", "jsonSchema", "imageTokens"];
export const nova: CatalogueRow = {
  tokenFactor: 1.2,
  contextTokens: 300_000,
  maxOutputTokens: 8192,
  tools: true,
  jsonSchema: false,
  prefill: "taken",
  maxTopK: 128,
  promptCache: "5m",
  toolCache: false,
  images: true,
  // AWS's table of examples ends at 2,600.
  imageTokens: 4_000,
  documents: everyDocument,
  pastReasoning: "dropped",
  profiles: ["us", "eu", "apac"],
  onDemand: true,
  fields: { top_k: "inferenceConfig.topK" },
  unconfirmed: novaUnconfirmed,
};

export const claude: CatalogueRow = {
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
  images: true,
  imageTokens: 1_600,
  documents: everyDocument,
  pastReasoning: "signed",
  promptCache: "1h",
  profiles: ["us", "eu", "au", "jp", "global"],
  regionalPriceFactor: 1.1,
  fields: { top_k: "top_k" },
  unconfirmed: ["promptCache", "fields", "regionalPriceFactor"],
};
/** From 3.7 on, Claude can think. */
export const claudeThinking: CatalogueRow = {
  ...claude,
  thinking: "budget",
  reasoningEfforts: ["none", "low", "medium", "high"],
};
/** From 4.1 on, a request may set temperature or top_p, but not both. */
export const claude41: CatalogueRow = { ...claudeThinking, refuses: [...claude.refuses!, "temperature_with_top_p"] };
export const claudeSchema: CatalogueRow = { ...claude41, jsonSchema: true };
export const claude45: CatalogueRow = {
  ...claudeSchema,
  unconfirmed: [...claude.unconfirmed!, "contextTokens", "maxOutputTokens", "prices"],
};
const adaptive: CatalogueRow = { thinking: "adaptive", reasoningEfforts: ["none", "low", "medium", "high", "max"] };
export const claude46: CatalogueRow = { ...claudeSchema, ...adaptive, contextTokens: 1_000_000, prefill: "refused" };
// From Claude 4.7 on, tokenizers produce up to 1.77 times as many tokens as local estimates predict.
export const claude47: CatalogueRow = {
  ...claude,
  ...adaptive,
  reasoningEfforts: ["none", "low", "medium", "high", "xhigh", "max"],
  imageTokens: 4_800,
  // AWS's list of models with structured output ends before this model. Whether AWS only forgot it is unknown.
  jsonSchema: undefined,
  prefill: "refused",
  tokenFactor: 1.8,
  contextTokens: 1_000_000,
  maxOutputTokens: 128_000,
  fields: {},
  refuses: ["temperature", "top_p", "top_k", ...claude.refuses!],
  unconfirmed: [...claude.unconfirmed!, "refuses", "imageTokens", "reasoningEfforts"],
};
export const claude5: CatalogueRow = {
  ...claude47,
  outputBurndown: 10,
  refuses: [...claude47.refuses!, "forced_tool_choice"],
};
export const defaultTierOnly: CatalogueRow = { serviceTiers: ["default"] };

/** Models with open weights: served in the Region itself, without a prompt cache. */
const open: CatalogueRow = { tokenFactor: 1.1, tools: true, promptCache: "none", onDemand: true };
const openSchema: CatalogueRow = { ...open, jsonSchema: true, unconfirmed: ["jsonSchema"] };
const withoutStop: CatalogueRow = { ...openSchema, refuses: ["stop"] };
export const fromSnapshot: Unconfirmed = ["jsonSchema", "contextTokens", "maxOutputTokens"];

export const gptOss: CatalogueRow = {
  ...withoutStop,
  contextTokens: 128_000,
  maxOutputTokens: 16_384,
  images: false,
  fields: { reasoning_effort: "reasoning_effort" },
  reasoningEfforts: ["low", "medium", "high"],
  unconfirmed: ["jsonSchema", "fields"],
};
// A user tried these efforts on GPT-5.6 and 6 (stdapi-ai/stdapi.ai#283). No other report lists them.
export const gpt: CatalogueRow = {
  profiles: ["us"],
  onDemand: false,
  refuses: ["stop"],
  promptCache: "none",
  fields: { reasoning_effort: "reasoning.effort" },
  reasoningEfforts: ["none", "low", "medium", "high", "xhigh", "max"],
  unconfirmed: ["fields", "reasoningEfforts"],
};
export const mistral: CatalogueRow = {
  ...openSchema,
  tokenFactor: 1.2,
  toolCallIdLength: 9,
  unconfirmed: fromSnapshot,
};
/** An image has at most 64 rows of 64 patches, and a break after each row. */
export const mistralVision = { images: true, imageTokens: 4_200 };
export const mistralSmall: CatalogueRow = {
  ...mistral,
  ...mistralVision,
  contextTokens: 128_000,
  maxOutputTokens: 4096,
};
export const deepseek: CatalogueRow = {
  ...withoutStop,
  tokenFactor: 1.2,
  contextTokens: 163_840,
  maxOutputTokens: 81_920,
  images: false,
  pastReasoning: "dropped",
};
export const qwen: CatalogueRow = {
  ...withoutStop,
  contextTokens: 262_144,
  maxOutputTokens: 131_072,
  images: false,
  unconfirmed: fromSnapshot,
};
export const snapshot: CatalogueRow = { ...openSchema, unconfirmed: fromSnapshot };
export const snapshotWithoutStop: CatalogueRow = { ...withoutStop, unconfirmed: fromSnapshot };
export const plainSnapshot: CatalogueRow = { ...open, unconfirmed: ["contextTokens", "maxOutputTokens"] };
export const gemma: CatalogueRow = { ...snapshot, ...retired, images: true };
export const textOnly = { images: false, imageTokens: undefined, documents: [] };
