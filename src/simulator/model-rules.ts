// What Bedrock's models refuse that others accept, by the beginning of the bare ID. docs/simulator.md has the sources.

/** What a model accepts and refuses. */
export interface ModelRules {
  /** Whether the model accepts tools. */
  tools: boolean;
  /** Whether the model accepts a tool choice of `any` or `tool`. */
  forcedToolChoice: boolean;
  /** Whether the schema of a tool may have alternatives at its root. */
  rootComposition: boolean;
  /** Whether schemas are checked against JSON Schema draft 2020-12. */
  schemaDraft: boolean;
  /** Whether an answer can be held to a schema. */
  outputSchema: boolean;
  /** Refusal of a conversation that ends with an assistant message. Absent: the model continues it. */
  endRefusal?: string;
  /** Whether the assistant's text that the model continues may end in white space. */
  endsInWhiteSpace: boolean;
  /** Parameters that the model refuses. */
  refuses: readonly ("temperature" | "topP" | "stopSequences")[];
  /** Whether temperature and topP may be used together. */
  temperatureWithTopP: boolean;
  /** Whether a stop text may consist of white space. */
  blankStops: boolean;
  /** Where cache points are allowed. */
  cachePoints: readonly ("system" | "messages" | "tools")[];
  maxTopK: number;
  /** Whether the model accepts images. */
  images: boolean;
  /** Whether the model accepts documents. */
  documents: boolean;
  /** What the model does with reasoning in messages of the assistant: accepts any, or only its own, or refuses it. */
  pastReasoning: "any" | "signed" | "refused";
  /** Whether the model thinks if `additionalModelRequestFields.thinking` asks for it. */
  thinks: boolean;
}

const lenient: ModelRules = {
  tools: true,
  forcedToolChoice: true,
  rootComposition: true,
  schemaDraft: false,
  outputSchema: true,
  endsInWhiteSpace: true,
  refuses: [],
  temperatureWithTopP: true,
  blankStops: true,
  cachePoints: ["system", "messages", "tools"],
  maxTopK: Number.POSITIVE_INFINITY,
  images: true,
  documents: true,
  pastReasoning: "any",
  thinks: false,
};

const lastTurn =
  "The model that you are using requires the last turn in the conversation to be a user message. Add a user message to the conversation and try again.";
const noPrefill =
  "The model returned the following errors: This model does not support assistant message prefill. The conversation must end with a user message.";

const llama = { forcedToolChoice: false, outputSchema: false, endRefusal: lastTurn, cachePoints: [], images: false };
const nova: Partial<ModelRules> = {
  pastReasoning: "refused",
  outputSchema: false,
  cachePoints: ["system", "messages"],
  maxTopK: 128,
};
const claude = {
  rootComposition: false,
  schemaDraft: true,
  outputSchema: false,
  endsInWhiteSpace: false,
  blankStops: false,
  maxTopK: 500,
  pastReasoning: "signed" as const,
};
const claudeThinking = { ...claude, thinks: true };
const claude41 = { ...claudeThinking, temperatureWithTopP: false };
const claude45 = { ...claude41, outputSchema: true };
const claude46 = { ...claude45, endRefusal: noPrefill };
const claude47: Partial<ModelRules> = { ...claude46, refuses: ["temperature", "topP"] };
const claude5 = { ...claude47, forcedToolChoice: false };
const open: Partial<ModelRules> = { cachePoints: [] };
const withoutStops: Partial<ModelRules> = { ...open, refuses: ["stopSequences"] };
const textOnly: Partial<ModelRules> = { ...withoutStops, images: false };
const deepseek: Partial<ModelRules> = { ...textOnly, pastReasoning: "refused" };

const families: Record<string, Partial<ModelRules>> = {
  "meta.llama": llama,
  "meta.llama3-2-11b-": { ...llama, images: true },
  "meta.llama3-2-90b-": { ...llama, images: true },
  "meta.llama4-": { ...llama, images: true },
  "amazon.nova-": nova,
  "amazon.nova-micro-": { ...nova, images: false, documents: false },
  "anthropic.claude-": claude5,
  "anthropic.claude-3-": claude,
  "anthropic.claude-3-7-": claudeThinking,
  "anthropic.claude-haiku-4-": claudeThinking,
  "anthropic.claude-sonnet-4-": claudeThinking,
  "anthropic.claude-opus-4-": claudeThinking,
  "anthropic.claude-opus-4-1": claude41,
  "anthropic.claude-haiku-4-5": claude45,
  "anthropic.claude-sonnet-4-5": claude45,
  "anthropic.claude-opus-4-5": claude45,
  "anthropic.claude-sonnet-4-6": claude46,
  "anthropic.claude-opus-4-6": claude46,
  "anthropic.claude-opus-4-7": claude47,
  "anthropic.claude-opus-4-8": claude47,
  "openai.gpt-": withoutStops,
  "openai.gpt-oss-": textOnly,
  "deepseek.": deepseek,
  "deepseek.r1-": { ...deepseek, tools: false, outputSchema: false },
  "qwen.": textOnly,
  "minimax.": textOnly,
  "moonshotai.": { ...withoutStops, pastReasoning: "refused" },
  "mistral.": open,
  "google.": open,
  "zai.": { ...open, pastReasoning: "refused" },
  "nvidia.": open,
};

/** Returns the rules of a model. A model of an unknown family refuses nothing. */
export function rulesOf(bareId: string): ModelRules {
  const prefixes = Object.keys(families).filter((prefix) => bareId.startsWith(prefix));
  const longest = prefixes.reduce((best, prefix) => (prefix.length > best.length ? prefix : best), "");
  return { ...lenient, ...families[longest] };
}
