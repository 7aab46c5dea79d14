// InvokeModel's bodies of Claude (Anthropic's Messages API) and of Nova, read as requests of Converse.
import { type ModelCall, readConverseRequest } from "./bodies.ts";
import { isObject, type Json } from "./json.ts";
import { missingKeys, numberProblems, parseNative, refuseProblems, unknownKeys } from "./native-fields.ts";
import type { CalledModel } from "./simulated-models.ts";

const claudeKeys = [
  ...["anthropic_version", "anthropic_beta", "max_tokens", "messages", "system", "stop_sequences", "temperature"],
  ...["top_p", "top_k", "tools", "tool_choice", "thinking", "metadata", "output_config", "output_format"],
  ...["context_management", "container", "mcp_servers", "cache_control", "inference_geo"],
];

/** Reads the body of a Claude model. @throws BedrockError with Bedrock's refusal */
export function readClaude(body: string, model: CalledModel, streaming: boolean): ModelCall {
  const request = parseNative(body);
  refuseProblems([
    ...unknownKeys(request, claudeKeys),
    ...missingKeys(request, ["anthropic_version", "max_tokens", "messages"]),
    ...(request.anthropic_version === undefined || request.anthropic_version === claudeVersion
      ? []
      : [`#/anthropic_version: "${String(request.anthropic_version)}" is not a valid version`]),
    ...numberProblems("max_tokens", request.max_tokens, "Integer", 1, Number.POSITIVE_INFINITY),
  ]);
  const { messages, system, tools, tool_choice: choice } = request;
  return readConverseRequest(
    defined({
      messages: Array.isArray(messages) ? mergedTurns(messages.map(messageOf)) : undefined,
      system: blocksOf(system),
      inferenceConfig: defined({
        maxTokens: request.max_tokens,
        temperature: request.temperature,
        topP: request.top_p,
        stopSequences: request.stop_sequences,
      }),
      toolConfig: Array.isArray(tools)
        ? defined({ tools: tools.flatMap(toolOf), toolChoice: choiceOf(choice) })
        : undefined,
      additionalModelRequestFields: defined({ top_k: request.top_k, thinking: request.thinking }),
    }),
    model,
    streaming,
  );
}

const claudeVersion = "bedrock-2023-05-31";

/** Merges neighbours of one role, as Claude does. Converse refuses them. */
function mergedTurns(messages: unknown[]): unknown[] {
  const turns: unknown[] = [];
  for (const message of messages) {
    const last = turns.at(-1);
    const isSame = isObject(last) && isObject(message) && last.role === message.role;
    if (isSame && Array.isArray(last.content) && Array.isArray(message.content)) last.content.push(...message.content);
    else turns.push(message);
  }
  return turns;
}

function messageOf(message: unknown): unknown {
  return isObject(message) ? { ...message, content: blocksOf(message.content) } : message;
}

function blocksOf(content: unknown): unknown[] | undefined {
  if (typeof content === "string") return [{ text: content }];
  return Array.isArray(content) ? content.map(blockOf) : undefined;
}

function blockOf(block: unknown): unknown {
  if (!isObject(block)) return block;
  switch (block.type) {
    case "text":
      return { text: block.text };
    case "tool_use":
      return { toolUse: { toolUseId: block.id, name: block.name, input: block.input } };
    case "tool_result":
      return { toolResult: { toolUseId: block.tool_use_id, content: blocksOf(block.content) ?? [] } };
    case "image":
      return { image: mediaOf(block.source) };
    case "document":
      // Converse has rules for documents that Claude has not.
      return { nativeDocument: mediaOf(block.source) };
    case "thinking":
      return { reasoningContent: { reasoningText: { text: block.thinking, signature: block.signature } } };
    case "redacted_thinking":
      return { reasoningContent: { redactedContent: block.data } };
    default:
      return { [String(block.type)]: block };
  }
}

function mediaOf(source: unknown): Json {
  const { media_type: type, data } = isObject(source) ? source : ({} as Json);
  return { format: String(type).split("/").at(-1), source: { bytes: data } };
}

function toolOf(tool: unknown): Json[] {
  // Tools of the server have a type, and the server runs them.
  if (!isObject(tool) || (tool.type !== undefined && tool.type !== "custom")) return [];
  const { name, description, input_schema: schema } = tool;
  return [{ toolSpec: defined({ name, description, inputSchema: { json: schema } }) }];
}

function choiceOf(choice: unknown): Json | undefined {
  if (!isObject(choice)) return undefined;
  if (choice.type === "any") return { any: {} };
  return choice.type === "tool" ? { tool: { name: choice.name } } : { auto: {} };
}

/** Reads the body of a Nova model, which differs from Converse in few names. @throws BedrockError with Bedrock's refusal */
export function readNova(body: string, model: CalledModel, streaming: boolean): ModelCall {
  const request = parseNative(body);
  const known = ["schemaVersion", "messages", "system", "inferenceConfig", "toolConfig"];
  refuseProblems([...unknownKeys(request, known), ...missingKeys(request, ["messages"])]);
  const config = isObject(request.inferenceConfig) ? request.inferenceConfig : {};
  const inferenceConfig = defined({
    maxTokens: config.maxTokens ?? config.max_new_tokens,
    temperature: config.temperature,
    topP: config.topP ?? config.top_p,
    stopSequences: config.stopSequences,
  });
  const topK = config.topK ?? config.top_k;
  const additional = topK === undefined ? {} : { additionalModelRequestFields: { inferenceConfig: { topK } } };
  return readConverseRequest({ ...request, inferenceConfig, ...additional }, model, streaming);
}

/** Returns an object without its undefined values. */
function defined(object: Json): Json {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}
