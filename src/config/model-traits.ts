// What can be known of a model. Everything that is absent is not known: then nothing is refused because of it, and
// nothing is claimed about it.
import type { TokenPrices } from "../domain/money.ts";
import type { CanonicalRequest } from "../domain/request.ts";

/** Parameters that some models refuse, by their names in the HTTP interface. */
export const refusable = [
  "temperature",
  "top_p",
  "top_k",
  "stop",
  "seed",
  "frequency_penalty",
  "presence_penalty",
  "reasoning_effort",
  "parallel_tool_calls",
  "forced_tool_choice",
  "temperature_with_top_p",
  "blank_stop",
] as const;
/**
 * `seed` and `parallel_tool_calls` are wishes: a job that sets one is taken, and the model is not told.
 *
 * The last three are not parameters by themselves. `forced_tool_choice` is a `tool_choice` of `required` or of a tool by
 * name, `temperature_with_top_p` is both in one request, and `blank_stop` is a stop text of white space alone.
 */
export type Refusable = (typeof refusable)[number];

/** Parameters for which Bedrock's Converse has no field of its own. */
export const extraParameters = ["top_k", "seed", "frequency_penalty", "presence_penalty", "reasoning_effort"] as const;
export type ExtraParameter = (typeof extraParameters)[number];

export const prefills = ["taken", "trimmed", "refused"] as const;
export type Prefill = (typeof prefills)[number];

export type ServiceTier = NonNullable<CanonicalRequest["serviceTier"]>;
export const serviceTiers = ["default", "priority", "flex"] as const satisfies ServiceTier[];

export const schemaDrafts = ["2020-12"] as const;
export type SchemaDraft = (typeof schemaDrafts)[number];

/** What a deployment's model takes, costs, and how long it will be there. */
export interface ModelTraits {
  /** Whether it takes tools, and whether also in a streamed call (if not, such a call is not streamed). */
  tools?: boolean;
  streamingTools?: boolean;
  /** Whether the schema of a tool may have `oneOf`, `anyOf` or `allOf` at its root. If not, they are rewritten. */
  rootComposition?: boolean;
  /** The draft of JSON Schema that the model checks schemas against. Absent: it is not known to check them. */
  schemaDraft?: SchemaDraft;
  /** For models that take only ids of tool calls of exactly so many letters and digits. Others are sent with other ids. */
  toolCallIdLength?: number;
  systemPrompts?: boolean;
  /**
   * Whether a conversation may end with the assistant, whose text the model then continues. `trimmed`: it may, but
   * white space at the end of that text is refused and therefore left out.
   */
  prefill?: Prefill;
  /** The highest `top_k` that it takes. */
  maxTopK?: number;
  /** The values of `reasoning_effort` that it takes. */
  reasoningEfforts?: string[];
  /** Whether an answer can be held to a JSON schema, or to be JSON of any form. */
  jsonSchema?: boolean;
  jsonObject?: boolean;
  guardrails?: boolean;
  /** The longest time for which a prompt cache keeps anything; `none` if there is no cache. */
  promptCache?: "none" | "5m" | "1h";
  /** Whether a cache point may follow the tools, and not only system text and messages. */
  toolCache?: boolean;
  refuses: Refusable[];
  /**
   * Where the model expects the parameters that Converse has no field for: a path in additionalModelRequestFields.
   * Without a path a parameter cannot be sent. Only Bedrock needs this.
   */
  fields: Partial<Record<ExtraParameter, string>>;
  serviceTiers?: ServiceTier[];
  prices?: TokenPrices;
  /** Regions that the model, or a profile of it, can be called in. */
  regions?: string[];
  /** Days, `YYYY-MM-DD` in UTC. */
  legacySince?: string;
  endOfLife?: string;
}

/** A row of the catalogue, or of `catalogue` in the configuration. */
export interface ModelRow extends Omit<Partial<ModelTraits>, "prices"> {
  /** Input and output together. */
  contextTokens?: number;
  /** The most that may be asked for as max_tokens. */
  maxOutputTokens?: number;
  /** See ModelSettings.tokenFactor. */
  tokenFactor?: number;
  streaming?: boolean;
  /** Quota tokens per output token when a call is settled. */
  outputBurndown?: number;
  prices?: Partial<Omit<TokenPrices, "tiers">> & { priorityFactor?: number; flexFactor?: number };
}
