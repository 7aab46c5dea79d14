// What is known of Bedrock's models: defaults for what the configuration does not say. From the model cards and quota
// pages as of November 2026; a deployment or model in the configuration file overrides every value.

export interface ModelFacts {
  /** Input and output together. */
  contextTokens: number;
  /** The most that may be asked for as max_tokens. */
  maxOutputTokens: number;
  /** See ModelSettings.tokenFactor. */
  tokenFactor: number;
  streaming: boolean;
  /** Quota tokens per output token when a call is settled. */
  outputBurndown: number;
}

const common = { tokenFactor: 1.1, streaming: true, outputBurndown: 1 };

// Llama's vocabulary extends cl100k: its own counts match on English, German and code, and are lower elsewhere.
const llama3 = { ...common, tokenFactor: 1, contextTokens: 128_000, maxOutputTokens: 4096 };
const llama4 = { ...common, maxOutputTokens: 16_384 };
const nova = { ...common, tokenFactor: 1.2, contextTokens: 300_000, maxOutputTokens: 8192 };
// Tokenizers from Claude 4.7 on make up to 1.77 times as much of a text as local estimates say.
const claude4 = { ...common, tokenFactor: 1.3, contextTokens: 200_000, maxOutputTokens: 64_000, outputBurndown: 5 };
const claudeNew = { ...claude4, tokenFactor: 1.8, contextTokens: 1_000_000, maxOutputTokens: 128_000 };
const mistral = { ...common, tokenFactor: 1.2, contextTokens: 128_000, maxOutputTokens: 8192 };
const qwen = { ...common, contextTokens: 262_144, maxOutputTokens: 16_384 };

/** By the beginning of the bare model ID; the longest that fits counts. */
const catalogue: Record<string, ModelFacts> = {
  "meta.llama3-1-": { ...llama3 },
  "meta.llama3-2-": { ...llama3 },
  "meta.llama3-3-": { ...llama3 },
  "meta.llama4-maverick-": { ...llama4, contextTokens: 1_000_000 },
  "meta.llama4-scout-": { ...llama4, contextTokens: 3_500_000 },

  "amazon.nova-micro-": { ...nova, contextTokens: 128_000 },
  "amazon.nova-lite-": { ...nova },
  "amazon.nova-pro-": { ...nova },
  "amazon.nova-2-lite-": { ...nova, contextTokens: 1_000_000, maxOutputTokens: 64_000 },

  // A Claude that is newer than this table gets the values of the newest family.
  "anthropic.claude-": { ...claudeNew, outputBurndown: 10 },
  "anthropic.claude-haiku-4-5-": { ...claude4 },
  "anthropic.claude-sonnet-4-5-": { ...claude4 },
  "anthropic.claude-opus-4-5-": { ...claude4 },
  "anthropic.claude-sonnet-4-6": { ...claude4, contextTokens: 1_000_000 },
  "anthropic.claude-opus-4-6": { ...claude4, contextTokens: 1_000_000, maxOutputTokens: 128_000 },
  "anthropic.claude-opus-4-7": { ...claudeNew },
  "anthropic.claude-opus-4-8": { ...claudeNew, outputBurndown: 15 },

  "openai.gpt-oss-": { ...common, contextTokens: 128_000, maxOutputTokens: 16_384 },

  "mistral.": { ...mistral },
  "deepseek.r1-": { ...common, tokenFactor: 1.2, contextTokens: 128_000, maxOutputTokens: 32_768 },
  "deepseek.v3": { ...common, tokenFactor: 1.2, contextTokens: 163_840, maxOutputTokens: 81_920 },
  "qwen.": { ...qwen, contextTokens: 128_000 },
  "qwen.qwen3-32b-": { ...qwen, contextTokens: 16_384, maxOutputTokens: 8192 },
  "qwen.qwen3-235b-": { ...qwen },
  "qwen.qwen3-coder-": { ...qwen },
  "qwen.qwen3-next-": { ...qwen },
};

/** For an ID that the catalogue does not know, such as an application inference profile. */
const unknownModel: ModelFacts = {
  ...common,
  tokenFactor: 1.3,
  contextTokens: 128_000,
  maxOutputTokens: 4096,
};

/** What is known of a model, by its ID, the ID of an inference profile, or the ARN of either. */
export function factsOf(modelId: string): ModelFacts {
  const id = modelId.split("/").at(-1)!;
  const bare = id.replace(/^(us-gov|us|eu|apac|au|jp|ca|global)\./, "");
  let best = "";
  for (const prefix of Object.keys(catalogue)) {
    if (bare.startsWith(prefix) && prefix.length > best.length) best = prefix;
  }
  return catalogue[best] ?? unknownModel;
}
