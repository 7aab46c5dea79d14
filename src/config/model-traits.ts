// What can be known about a model. An absent trait is unknown: then nothing is refused because of it, and nothing is
// claimed about it.
import type { DocumentFormat } from "../domain/media.ts";
import type { TokenPrices } from "../domain/money.ts";
import type { CanonicalRequest } from "../domain/request.ts";

/** Parameters that some models refuse, by their names in the HTTP API. */
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
 * A parameter that a model may refuse. `seed` and `parallel_tool_calls` are preferences: a job that sets one is
 * accepted, but the parameter is not sent.
 *
 * The last three are not parameters by themselves. `forced_tool_choice` is a `tool_choice` of `required` or of a named
 * tool. `temperature_with_top_p` is both in one request. `blank_stop` is a stop text of white space only.
 */
export type Refusable = (typeof refusable)[number];

/** Parameters for which Bedrock's Converse has no field of its own. */
export const extraParameters = ["top_k", "seed", "frequency_penalty", "presence_penalty", "reasoning_effort"] as const;
export type ExtraParameter = (typeof extraParameters)[number];

/** How models handle a conversation that ends with an assistant message. */
export const prefills = ["taken", "trimmed", "refused"] as const;
export type Prefill = (typeof prefills)[number];

/** What models do with reasoning of earlier turns. */
export const pastReasonings = ["signed", "dropped", "sent"] as const;
export type PastReasoning = (typeof pastReasonings)[number];

/** How models are asked to think before they answer. */
export const thinkings = ["budget", "adaptive", "nova"] as const;
export type Thinking = (typeof thinkings)[number];

export type ServiceTier = NonNullable<CanonicalRequest["serviceTier"]>;
/** Service tiers of Bedrock. */
export const serviceTiers = ["default", "priority", "flex"] as const satisfies ServiceTier[];

/** Drafts of JSON Schema that models check schemas against. */
export const schemaDrafts = ["2020-12"] as const;
export type SchemaDraft = (typeof schemaDrafts)[number];

/** How the bodies of Bedrock's embedding models are written. */
export const embeddingBodies = ["titan", "cohere"] as const;
export type EmbeddingBody = (typeof embeddingBodies)[number];

/** What a model that makes embeddings accepts. */
export interface EmbeddingTraits {
  /** How its body is written. Only Bedrock's models need it. */
  body?: EmbeddingBody;
  /** Maximum number of texts in one call. A longer list needs several calls. Absent: any number. */
  textsPerCall?: number;
  /** Lengths of its vectors. Absent: unknown. */
  dimensions?: number[];
  /** Longest text in tokens. Absent: the model's `contextTokens`. */
  textTokens?: number;
  /** Longest text in characters. Absent: unknown. */
  textCharacters?: number;
  /** Values of `input_type`, the default first. Absent: unknown. Empty: the model knows no `input_type`. */
  inputTypes?: string[];
}

/** What a deployment's model accepts, what it costs, and how long it remains available. */
export interface ModelTraits {
  /** Whether the model accepts tools. */
  tools?: boolean;
  /** Whether the model accepts tools in a streamed call. If not, Sluice does not stream such a call. */
  streamingTools?: boolean;
  /** Whether a tool's schema may have `oneOf`, `anyOf` or `allOf` at its root. If not, Sluice rewrites them. */
  rootComposition?: boolean;
  /** Draft of JSON Schema that the model checks schemas against. If absent, it is not known to check them. */
  schemaDraft?: SchemaDraft;
  /** Exact length of tool call ids, in letters and digits, if the model requires one. Other ids are replaced. */
  toolCallIdLength?: number;
  systemPrompts?: boolean;
  /**
   * Whether a conversation may end with an assistant message, whose text the model continues. With `trimmed` it may,
   * but the model refuses white space at the end of that text, so Sluice removes it.
   */
  prefill?: Prefill;
  /** Highest `top_k` that the model accepts. */
  maxTopK?: number;
  /** Values of `reasoning_effort` that the model accepts. */
  reasoningEfforts?: string[];
  /** Whether an answer can be held to a JSON schema. */
  jsonSchema?: boolean;
  /** Whether an answer can be held to be JSON of any form. */
  jsonObject?: boolean;
  /** Whether the model accepts images. */
  images?: boolean;
  /** Tokens of the most expensive image. */
  imageTokens?: number;
  /** Formats of documents that the model accepts. Empty: it accepts none. */
  documents?: DocumentFormat[];
  /**
   * What the model does with reasoning of earlier turns, and so what Sluice sends: only what has a signature
   * (`signed`), nothing, because the model refuses it (`dropped`), or everything (`sent`).
   */
  pastReasoning?: PastReasoning;
  /**
   * How the model is asked to think if a request has a `reasoning_effort`. Claude thinks within a number of tokens that
   * Sluice derives from the effort (`budget`), or as it decides, with the effort as a hint (`adaptive`). `nova` is the
   * field of Nova 2.
   */
  thinking?: Thinking;
  /** Set if the model makes embeddings, and no text. */
  embeddings?: EmbeddingTraits;
  guardrails?: boolean;
  /** Longest lifetime of a prompt cache entry; `none` if there is no cache. */
  promptCache?: "none" | "5m" | "1h";
  /** Whether a cache point may follow the tools, and not only system text and messages. */
  toolCache?: boolean;
  refuses: Refusable[];
  /**
   * Where the model expects parameters without a field in Converse: paths in additionalModelRequestFields. A parameter
   * without a path cannot be sent. Only Bedrock needs this.
   */
  fields: Partial<Record<ExtraParameter, string>>;
  serviceTiers?: ServiceTier[];
  prices?: TokenPrices;
  /** Regions in which the model or one of its profiles can be called. */
  regions?: string[];
  /** Day in UTC, `YYYY-MM-DD`, on which the model becomes Legacy. */
  legacySince?: string;
  /** Day in UTC, `YYYY-MM-DD`, from which the model cannot be called any more. */
  endOfLife?: string;
}

/** A row of the catalogue, or of `catalogue` in the configuration. */
export interface ModelRow extends Omit<Partial<ModelTraits>, "prices"> {
  /** Longest input and output together, in tokens. */
  contextTokens?: number;
  /** Highest `max_tokens` that a request may ask for. */
  maxOutputTokens?: number;
  /** See ModelSettings.tokenFactor. */
  tokenFactor?: number;
  streaming?: boolean;
  /** Quota tokens charged per output token when a call is settled. */
  outputBurndown?: number;
  prices?: Partial<Omit<TokenPrices, "tiers">> & { priorityFactor?: number; flexFactor?: number };
}
