// From the canonical request to what Converse and ConverseStream take. Both take the same.
import type {
  ContentBlock as BedrockBlock,
  ConverseStreamCommandInput,
  OutputFormat,
  ToolConfiguration,
} from "@aws-sdk/client-bedrock-runtime";
import type { JsonTraits } from "../../domain/answer-tool.ts";
import type { JsonTexts } from "../../domain/json-text.ts";
import { closedSchema } from "../../domain/output-schema.ts";
import {
  type CachePoint,
  type CanonicalRequest,
  type ContentBlock,
  type Message,
  normaliseMessages,
  type Parameters,
  type ResponseFormat,
  resultText,
} from "../../domain/request.ts";
import { changedSchema, schemaText } from "../../domain/schema-text.ts";
import { withObjectRoot } from "../../domain/tool-schema.ts";
import { ProviderError } from "../provider.ts";
import { type AllowedNames, allowedNames } from "./allowed-names.ts";
import { withPossibleCache } from "./cache-points.ts";

/** What of a model decides how it is called. What is absent is not known, and is taken to be possible. */
export interface BedrockTraits extends JsonTraits {
  /** The longest time for which its prompt cache keeps anything. */
  promptCache?: "none" | "5m" | "1h";
  /** Whether a cache point may follow the tools. */
  toolCache?: boolean;
  /** `trimmed` if the text at the end of a conversation that the model is to continue must not end in white space. */
  prefill?: "taken" | "trimmed" | "refused";
  /** Whether the schema of a tool may have alternatives at its root. */
  rootComposition?: boolean;
  /** It takes ids of tool calls of exactly so many letters and digits. */
  toolCallIdLength?: number;
  /** Whether it takes tools in a streamed call. */
  streamingTools?: boolean;
  /** By parameter, where in additionalModelRequestFields the model expects it. */
  fields?: Partial<Record<"top_k" | "seed" | "frequency_penalty" | "presence_penalty" | "reasoning_effort", string>>;
}

/** @param texts takes what has to be printed as it is; the input has their places */
export function toConverse(
  modelId: string,
  original: CanonicalRequest,
  traits: BedrockTraits,
  texts: JsonTexts,
): ConverseStreamCommandInput {
  const request = withPossibleCache(original, traits.promptCache);
  const { maxTokens, temperature, stop } = request.parameters;
  const topP = possibleTopP(request.parameters, traits);
  const names = allowedNames(request, traits.toolCallIdLength);
  const { responseFormat: format, guardrail, serviceTier } = request;
  const tools = toToolConfig(request, traits, texts);
  const additional = toAdditionalFields(request.parameters, traits);
  return {
    modelId,
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
    ...(format?.type === "json_schema" ? { outputConfig: { textFormat: toTextFormat(format) } } : {}),
    ...(guardrail
      ? { guardrailConfig: { guardrailIdentifier: guardrail.id, guardrailVersion: guardrail.version } }
      : {}),
    ...(serviceTier ? { serviceTier: { type: serviceTier } } : {}),
    ...(additional ? { additionalModelRequestFields: additional } : {}),
  };
}

/** Beside a temperature some models refuse any `top_p`, and a `top_p` of 1 excludes nothing. */
function possibleTopP({ temperature, topP }: Parameters, { refuses = [] }: BedrockTraits): number | undefined {
  const isIdle = topP === 1 && temperature !== undefined && refuses.includes("temperature_with_top_p");
  return isIdle ? undefined : topP;
}

/** The conversation without the white space at its end, where the model is to continue the assistant's text and refuses it. */
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

/** The parameters that Converse has no field for, where the model expects them. One without a known place is left out. */
function toAdditionalFields(
  parameters: Parameters,
  { fields = {}, refuses = [] }: BedrockTraits,
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

/** A JSON value; the SDK's own type for it is not exported under a name. */
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
          // A blank text is refused, but a tool may well have nothing to say.
          content: [{ text: resultText(block).trim() === "" ? "(empty)" : resultText(block) }],
          ...(block.isError ? { status: "error" } : {}),
        },
      };
    case "cache_point":
      return toCachePoint(block.cache);
  }
}

/** @throws ProviderError for arguments that Converse has no form for: it takes JSON objects only */
function objectText({ name, arguments: text }: ContentBlock & { type: "tool_call" }): string {
  const object = text.trim() === "" ? "{}" : text;
  try {
    const value: unknown = JSON.parse(object);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return object;
  } catch {
    // Refused below, as JSON of another kind.
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
  // "none" has no word in Converse: tools that are not to be called are not named, unless the conversation has used some.
  if (choice === "none" && !request.messages.some(usesTools)) return undefined;
  // What stands before a cache point in the system text are the tools; without such a text they are all there is.
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
