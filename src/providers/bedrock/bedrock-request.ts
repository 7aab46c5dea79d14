// Converts canonical requests to the body of Converse and ConverseStream, which is the same for both.
import type {
  ConverseStreamRequest,
  OutputConfig,
  OutputFormat,
  ReasoningContentBlock,
  ContentBlock as SdkBlock,
  ToolConfiguration,
} from "@aws-sdk/client-bedrock-runtime";
import type { JsonTraits } from "../../domain/answer-tool.ts";
import { JsonTexts } from "../../domain/json-text.ts";
import { closedSchema } from "../../domain/output-schema.ts";
import {
  type CachePoint,
  type CanonicalRequest,
  type ContentBlock,
  type Message,
  normaliseMessages,
  type Parameters,
  type ReasoningBlock,
  type ResponseFormat,
  resultText,
} from "../../domain/request.ts";
import { changedSchema, schemaText } from "../../domain/schema-text.ts";
import { type Thinking, thinkingFor } from "../../domain/thinking.ts";
import { withObjectRoot } from "../../domain/tool-schema.ts";
import { ProviderError } from "../provider.ts";
import { type AllowedNames, allowedNames } from "./allowed-names.ts";
import { withPossibleCache } from "./cache-points.ts";
import type { EmbeddingModel } from "./embedding-call.ts";
import type { Wire } from "./wire-types.ts";

/** Traits of a model that decide how it is called. An absent trait is unknown and counts as possible. */
export interface BedrockTraits extends JsonTraits {
  /** Longest lifetime of a prompt cache entry. */
  promptCache?: "none" | "5m" | "1h";
  /** Whether a cache point may follow the tools. */
  toolCache?: boolean;
  /** `trimmed` if the assistant's text at the end of a conversation must not end in white space. */
  prefill?: "taken" | "trimmed" | "refused";
  /** Whether the schema of a tool may have alternatives at its root. */
  rootComposition?: boolean;
  /** Exact length of tool call ids, in letters and digits, if the model requires one. */
  toolCallIdLength?: number;
  /** Whether the model accepts tools in a streamed call. */
  streamingTools?: boolean;
  /** What the model does with reasoning of earlier turns. */
  pastReasoning?: "signed" | "dropped" | "sent";
  /** How the model is asked to think. */
  thinking?: "budget" | "adaptive" | "nova";
  /** Set if the model makes embeddings. */
  embeddings?: EmbeddingModel;
  /** Path in additionalModelRequestFields by parameter. */
  fields?: Partial<Record<"top_k" | "seed" | "frequency_penalty" | "presence_penalty" | "reasoning_effort", string>>;
}

/** Converts a request to a body. JSON of the caller, such as schemas and the input of tools, stays verbatim. */
export function converseBody(request: CanonicalRequest, traits: BedrockTraits): string {
  const texts = new JsonTexts();
  return texts.insertInto(JSON.stringify(toConverse(request, traits, texts)));
}

type BedrockBlock = Wire<SdkBlock>;

/** @param texts receives what must be printed verbatim. The result contains the marks of these texts */
function toConverse(
  original: CanonicalRequest,
  traits: BedrockTraits,
  texts: JsonTexts,
): Wire<Omit<ConverseStreamRequest, "modelId">> {
  const request = withPossibleReasoning(withPossibleCache(original, traits.promptCache), traits);
  const { maxTokens, temperature, stop } = request.parameters;
  const topP = possibleTopP(request.parameters, traits);
  const names = allowedNames(request, traits.toolCallIdLength);
  const { responseFormat: format, guardrail, serviceTier } = request;
  const tools = toToolConfig(request, traits, texts);
  const thinking = thinkingFor(request.parameters, traits.thinking);
  const additional = toAdditionalFields(request.parameters, traits, thinking);
  const outputConfig = toOutputConfig(format, thinking);
  return {
    messages: possibleEnd(normaliseMessages(request.messages), traits).map(({ role, content }) => ({
      role,
      content: content.map((block) => toBlock(block, names, texts)),
    })),
    ...(request.system?.trim()
      ? {
          system: [
            { text: request.system },
            ...(request.systemCachePoint ? [toCachePoint(request.systemCachePoint)] : []),
          ],
        }
      : {}),
    inferenceConfig: {
      // Always sent: without it Bedrock reserves the model's own maximum from the quota.
      maxTokens,
      ...(temperature === undefined ? {} : { temperature }),
      ...(topP === undefined ? {} : { topP }),
      ...(stop?.length ? { stopSequences: stop } : {}),
    },
    ...(tools ? { toolConfig: tools } : {}),
    ...(outputConfig ? { outputConfig } : {}),
    ...(guardrail
      ? { guardrailConfig: { guardrailIdentifier: guardrail.id, guardrailVersion: guardrail.version } }
      : {}),
    ...(serviceTier ? { serviceTier: { type: serviceTier } } : {}),
    ...(additional ? { additionalModelRequestFields: additional } : {}),
  };
}

/**
 * Returns `topP`, unless it is 1 and the model refuses any `top_p` together with a temperature. A `top_p` of 1 excludes
 * nothing.
 */
function possibleTopP({ temperature, topP }: Parameters, { refuses = [] }: BedrockTraits): number | undefined {
  const hasNoEffect = topP === 1 && temperature !== undefined && refuses.includes("temperature_with_top_p");
  return hasNoEffect ? undefined : topP;
}

/**
 * Removes the white space at the end of the assistant's last text, if the model continues that text and refuses white
 * space.
 */
function possibleEnd(messages: Message[], { prefill }: BedrockTraits): Message[] {
  const last = messages.at(-1);
  if (prefill !== "trimmed" || last?.role !== "assistant") return messages;
  const at = last.content.findLastIndex(({ type }) => type === "text");
  const content = last.content.map((block, i) =>
    i === at && block.type === "text" ? { ...block, text: block.text.trimEnd() } : block,
  );
  return [...messages.slice(0, -1), { ...last, content }];
}

function toCachePoint(cache: CachePoint) {
  return { cachePoint: { type: "default" as const, ...cache } };
}

function toOutputConfig(format: ResponseFormat | undefined, thinking: Thinking | undefined): OutputConfig | undefined {
  const config: OutputConfig = {
    ...(format?.type === "json_schema" && { textFormat: toTextFormat(format) }),
    ...(thinking?.type === "adaptive" && { effort: thinking.effort as OutputConfig["effort"] }),
  };
  return Object.keys(config).length > 0 ? config : undefined;
}

function toTextFormat({ name, description, schema }: ResponseFormat & { type: "json_schema" }): OutputFormat {
  return {
    type: "json_schema",
    structure: {
      jsonSchema: {
        schema: schemaText(changedSchema(schema, closedSchema)),
        name,
        ...(description ? { description } : {}),
      },
    },
  };
}

/**
 * Returns the parameters without a field in Converse, at the paths that the model expects. Omits those without a known
 * path. Adds what the model needs to think.
 */
function toAdditionalFields(
  parameters: Parameters,
  { fields = {}, refuses = [] }: BedrockTraits,
  thinking: Thinking | undefined,
): { [key: string]: Json } | undefined {
  const { topK, seed, frequencyPenalty, presencePenalty, reasoningEffort } = parameters;
  const values = {
    top_k: topK,
    seed,
    frequency_penalty: frequencyPenalty,
    presence_penalty: presencePenalty,
    reasoning_effort: reasoningEffort,
  };
  const result: { [key: string]: Json } = {};
  if (thinking?.type === "enabled") result.thinking = { type: "enabled", budget_tokens: thinking.budgetTokens };
  if (thinking?.type === "adaptive") result.thinking = { type: "adaptive" };
  if (thinking?.type === "nova") result.reasoningConfig = { type: "enabled", maxReasoningEffort: thinking.effort };
  for (const [name, value] of Object.entries(values)) {
    const path = fields[name as keyof typeof values]?.split(".");
    if (value === undefined || path === undefined || refuses.includes(name)) continue;
    let at = result;
    for (const key of path.slice(0, -1)) {
      at[key] ??= {};
      at = at[key] as typeof result;
    }
    at[path.at(-1)!] = value;
  }
  return Object.keys(result).length > 0 ? result : undefined;
}

/** A JSON value. The SDK does not export its own type for it. */
type Json = NonNullable<NonNullable<BedrockBlock["toolUse"]>["input"]>;

function toBlock(block: ContentBlock, names: AllowedNames, texts: JsonTexts): BedrockBlock {
  switch (block.type) {
    case "text":
      return { text: block.text };
    case "tool_call":
      return {
        toolUse: {
          toolUseId: names.id(block.id),
          name: names.name(block.name),
          input: texts.place(objectText(block)),
        },
      };
    case "tool_result":
      return {
        toolResult: {
          toolUseId: names.id(block.callId),
          // Bedrock refuses a blank text, but a tool's result may be empty.
          content: [{ text: resultText(block).trim() === "" ? "(empty)" : resultText(block) }],
          ...(block.isError ? { status: "error" } : {}),
        },
      };
    case "cache_point":
      return toCachePoint(block.cache);
    case "image":
      return { image: { format: block.format, source: { bytes: block.data } } };
    case "document": {
      const name = names.document(block);
      return { document: { format: block.format, name, source: { bytes: block.data } } };
    }
    case "reasoning":
      return { reasoningContent: toReasoning(block) };
  }
}

function toReasoning({ text, signature, redacted }: ReasoningBlock): Wire<ReasoningContentBlock> {
  if (redacted !== undefined) return { redactedContent: redacted };
  return { reasoningText: { text, ...(signature !== undefined && { signature }) } };
}

/**
 * Removes reasoning that the model refuses. Claude takes only its own, which the signature proves. Other models refuse
 * any.
 */
function withPossibleReasoning(request: CanonicalRequest, { pastReasoning }: BedrockTraits): CanonicalRequest {
  if (pastReasoning !== "signed" && pastReasoning !== "dropped") return request;
  const isTaken = (block: ContentBlock) =>
    block.type !== "reasoning" ||
    (pastReasoning === "signed" && (block.signature !== undefined || block.redacted !== undefined));
  const messages = request.messages.map((message) => ({ ...message, content: message.content.filter(isTaken) }));
  return { ...request, messages };
}

/**
 * Returns a call's arguments as JSON text.
 * @throws ProviderError if they are not a JSON object, because Converse accepts nothing else
 */
function objectText({ name, arguments: text }: ContentBlock & { type: "tool_call" }): string {
  const object = text.trim() === "" ? "{}" : text;
  try {
    const value: unknown = JSON.parse(object);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return object;
  } catch {
    // Refused below, like JSON of another type.
  }
  throw new ProviderError({
    kind: "permanent",
    code: "provider_rejected",
    message: `The arguments of a call of "${name.slice(0, 64)}" must be a JSON object. Bedrock accepts nothing else.`,
    maybeBilled: false,
  });
}

function usesTools({ content }: CanonicalRequest["messages"][number]): boolean {
  return content.some(({ type }) => type === "tool_call" || type === "tool_result");
}

function toToolConfig(
  request: CanonicalRequest,
  { rootComposition, toolCache }: BedrockTraits,
  texts: JsonTexts,
): ToolConfiguration | undefined {
  if (!request.tools?.length) return undefined;
  const choice = request.toolChoice;
  // Converse has no "none". Tools that must not be called are omitted, unless the conversation has already used some.
  if (choice === "none" && !request.messages.some(usesTools)) return undefined;
  // A cache point in the system text follows the tools. Without system text, it follows the tools only.
  const isLast = request.systemCachePoint && !request.system?.trim() && toolCache !== false;
  const cache = isLast ? [toCachePoint(request.systemCachePoint!)] : [];
  const withRoot = (schema: object) => withObjectRoot(schema, rootComposition);
  const tools = request.tools.map((tool) => ({
    toolSpec: {
      name: tool.name,
      // Converse refuses an empty description.
      ...(tool.description?.trim() ? { description: tool.description } : {}),
      inputSchema: { json: texts.place(schemaText(changedSchema(tool.inputSchema, withRoot))) },
    },
  }));
  return {
    tools: [...tools, ...cache],
    ...(choice === undefined || choice === "none"
      ? {}
      : {
          toolChoice:
            choice === "auto" ? { auto: {} } : choice === "required" ? { any: {} } : { tool: { name: choice.name } },
        }),
  };
}
