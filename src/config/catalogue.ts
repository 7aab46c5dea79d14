// What is known about a deployment's model: the catalogue's row for its ID, overridden key by key by `catalogue` in the
// configuration. What is still unknown gets a cautious default or stays unknown.
import type { TokenPrices } from "../domain/money.ts";
import type { CatalogueRow } from "./catalogue-families.ts";
import { familyRows, modelRows } from "./catalogue-rows.ts";
import { embeddingRows } from "./embedding-rows.ts";
import type { ModelRow, ModelTraits } from "./model-traits.ts";

/** What is known about a model, with defaults for the numbers that every deployment needs. */
export interface ModelFacts {
  contextTokens: number;
  maxOutputTokens: number;
  tokenFactor: number;
  streaming: boolean;
  outputBurndown: number;
  traits: ModelTraits;
}

/** The configuration's own rows, by model ID, profile ID or ARN. A row for a bare ID also applies to its profiles. */
export type Overrides = Readonly<Record<string, ModelRow>>;

/** Defaults for an ID that the catalogue does not know, such as an application inference profile. */
const cautious = {
  contextTokens: 128_000,
  maxOutputTokens: 4096,
  tokenFactor: 1.3,
  streaming: true,
  outputBurndown: 1,
};

/**
 * Factors seen for Amazon Nova Pro. AWS says only that one tier costs more than the default tier and the other less.
 */
const usualTierFactors = { priority: 1.75, flex: 0.5 };

/**
 * Returns what is known about a model.
 * @param modelId ID of the model, of an inference profile, or the ARN of either
 * @param baseModel ID of the model behind a profile whose ID does not say it. Default: the one that `modelId` says
 */
export function factsOf(
  modelId: string,
  overrides: Overrides = {},
  provider = "bedrock",
  baseModel = modelId,
): ModelFacts {
  const { id, prefix } = partsOf(modelId);
  const { bare } = partsOf(baseModel);
  const builtIn = provider === "bedrock" ? rowOf(bare) : otherProviders;
  const own = [...new Set([bare, id, modelId])].flatMap((key) =>
    Object.hasOwn(overrides, key) ? [overrides[key]!] : [],
  );
  const row: CatalogueRow = Object.assign({}, builtIn, ...own);
  return {
    contextTokens: row.contextTokens ?? cautious.contextTokens,
    maxOutputTokens: row.maxOutputTokens ?? cautious.maxOutputTokens,
    tokenFactor: row.tokenFactor ?? cautious.tokenFactor,
    streaming: row.streaming ?? cautious.streaming,
    outputBurndown: row.outputBurndown ?? cautious.outputBurndown,
    traits: traitsOf(row, pricesOf(builtIn, prefix, own)),
  };
}

/** Returns the row of a Bedrock model, or an empty row if there is none. */
export function rowOf(bareId: string): CatalogueRow {
  // `amazon.nova-lite-v1:0:300k` is `amazon.nova-lite-v1:0` with a fixed context size.
  for (let id = bareId; id.includes("."); id = id.slice(0, Math.max(0, id.lastIndexOf(":")))) {
    if (Object.hasOwn(modelRows, id)) return modelRows[id]!;
    if (Object.hasOwn(embeddingRows, id)) return embeddingRows[id]!;
  }
  let best = "";
  for (const prefix of Object.keys(familyRows)) {
    if (bareId.startsWith(prefix) && prefix.length > best.length) best = prefix;
  }
  return familyRows[best] ?? {};
}

/** Splits a model ID into the ID without ARN, the bare ID, and the prefix of an inference profile. */
export function partsOf(modelId: string): { id: string; bare: string; prefix?: string } {
  const id = modelId.startsWith("arn:") ? modelId.slice(modelId.lastIndexOf("/") + 1) : modelId;
  const prefix = /^(us-gov|us|eu|apac|au|jp|ca|global)\./.exec(id)?.[1];
  return prefix === undefined ? { id, bare: id } : { id, bare: id.slice(prefix.length + 1), prefix };
}

/**
 * Row of a model that Bedrock does not serve: nothing is known, except that it lacks the features that only AWS has.
 */
const otherProviders: CatalogueRow & { jsonObject: undefined } = {
  guardrails: false,
  promptCache: "none",
  jsonObject: undefined,
  // Servers differ. Some refuse the field, and those that need it are rare.
  pastReasoning: "dropped",
};

function traitsOf(row: CatalogueRow, prices: TokenPrices | undefined): ModelTraits {
  const known: Omit<ModelTraits, "refuses" | "fields"> = {
    tools: row.tools,
    streamingTools: row.streamingTools,
    rootComposition: row.rootComposition,
    schemaDraft: row.schemaDraft,
    toolCallIdLength: row.toolCallIdLength,
    systemPrompts: row.systemPrompts,
    prefill: row.prefill,
    maxTopK: row.maxTopK,
    reasoningEfforts: row.reasoningEfforts,
    jsonSchema: row.jsonSchema,
    // Converse can hold an answer to a schema, but has no option for JSON of any form.
    jsonObject: "jsonObject" in row ? row.jsonObject : false,
    images: row.images,
    imageTokens: row.imageTokens,
    documents: row.documents,
    pastReasoning: row.pastReasoning,
    thinking: row.thinking,
    embeddings: row.embeddings,
    guardrails: row.guardrails,
    promptCache: row.promptCache,
    toolCache: row.toolCache,
    serviceTiers: row.serviceTiers,
    regions: row.regions,
    legacySince: row.legacySince,
    endOfLife: row.endOfLife,
    prices,
  };
  const present = Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined));
  return { ...present, refuses: row.refuses ?? [], fields: row.fields ?? {} };
}

function pricesOf(builtIn: CatalogueRow, prefix: string | undefined, own: ModelRow[]): TokenPrices | undefined {
  const factor = prefix === "global" ? 1 : (builtIn.regionalPriceFactor ?? 1);
  const listed = Object.entries(builtIn.prices ?? {}).map(([key, usd]) => [key, rounded(usd * factor)]);
  const merged: NonNullable<ModelRow["prices"]> = Object.assign(
    Object.fromEntries(listed),
    ...own.map(({ prices }) => prices),
  );
  if (Object.keys(merged).length === 0) return undefined;
  const { priorityFactor, flexFactor, ...prices } = merged;
  const usual: TokenPrices["tiers"] = builtIn === otherProviders ? {} : usualTierFactors;
  const priority = priorityFactor ?? usual.priority;
  const flex = flexFactor ?? usual.flex;
  return { ...prices, tiers: { ...(priority && { priority }), ...(flex && { flex }) } };
}

/** Rounds to a millionth of a dollar, so that 1.1 times 0.1 is 0.11. */
function rounded(usd: number): number {
  return Math.round(usd * 1e6) / 1e6;
}
