// Converts canonical requests to the body of a chat completion.
import { dataUrlOf, type ImageBlock } from "../../domain/media.ts";
import type { CanonicalRequest, ContentBlock, Message } from "../../domain/request.ts";
import { printableSchema } from "../../domain/schema-text.ts";

/** How a deployment's requests are formed. */
export interface BodyOptions {
  modelId: string;
  streaming: boolean;
  /** Whether to ask for usage at the end of a stream. Some servers refuse this option. */
  streamUsage: boolean;
  /** The server's name for the limit of output tokens. */
  maxTokensField: "max_tokens" | "max_completion_tokens";
  /** What the model refuses, by the catalogue's names. Default: nothing. */
  refuses?: readonly string[] | undefined;
  /** What the model does with reasoning of earlier turns; it is sent for `sent` only. Default: not sent. */
  pastReasoning?: string | undefined;
}

/**
 * Returns the body. Absent parameters are not sent. The limit of output tokens is always sent, because the quotas were
 * charged with it.
 */
export function toChatCompletion(request: CanonicalRequest, options: BodyOptions): Record<string, unknown> {
  const { parameters: p, tools, responseFormat, parallelToolCalls } = request;
  const takes = (name: string) => !options.refuses?.includes(name);
  const system = request.system?.trim() ? [{ role: "system", content: request.system }] : [];
  return {
    model: options.modelId,
    messages: [...system, ...turnsOf(request.messages).flatMap((turn) => toMessages(turn, options))],
    [options.maxTokensField]: p.maxTokens,
    ...(p.temperature !== undefined && { temperature: p.temperature }),
    ...(p.topP !== undefined && { top_p: p.topP }),
    // Not part of OpenAI's API, but vLLM, llama.cpp and others accept it.
    ...(p.topK !== undefined && { top_k: p.topK }),
    ...(p.stop?.length && { stop: p.stop }),
    ...(p.seed !== undefined && takes("seed") && { seed: p.seed }),
    ...(p.frequencyPenalty !== undefined && { frequency_penalty: p.frequencyPenalty }),
    ...(p.presencePenalty !== undefined && { presence_penalty: p.presencePenalty }),
    ...(p.reasoningEffort !== undefined && { reasoning_effort: p.reasoningEffort }),
    ...(tools?.length && { tools: tools.map(toTool), ...toToolChoice(request.toolChoice) }),
    ...(tools?.length &&
      parallelToolCalls !== undefined &&
      takes("parallel_tool_calls") && { parallel_tool_calls: parallelToolCalls }),
    ...(responseFormat && { response_format: toResponseFormat(responseFormat) }),
    ...(request.serviceTier !== undefined && { service_tier: request.serviceTier }),
    ...(options.streaming && { stream: true, ...(options.streamUsage && { stream_options: { include_usage: true } }) }),
  };
}

/** Groups adjacent messages of one role. */
function turnsOf(messages: readonly Message[]): Message[][] {
  const turns: Message[][] = [];
  for (const message of messages) {
    const last = turns.at(-1);
    if (last && last[0]!.role === message.role) last.push(message);
    else turns.push([message]);
  }
  return turns;
}

/**
 * Converts a group of messages. Messages stay as the caller wrote them, except in Sluice's own form of a conversation.
 * There, tool results become separate messages, first in their group, and an assistant group that continues after calls
 * becomes one message.
 */
function toMessages(turn: Message[], { pastReasoning }: BodyOptions): Record<string, unknown>[] {
  if (turn[0]!.role === "assistant") {
    const called = turn.findIndex(({ content }) => content.some(isCall));
    const isWhole = called < 0 || called === turn.length - 1;
    const messages = isWhole ? turn : [{ ...turn[0]!, content: turn.flatMap(({ content }) => content) }];
    return messages.flatMap((message) => toAssistant(message, pastReasoning === "sent"));
  }
  const results = turn.flatMap(({ content }) =>
    content.flatMap((block) => (block.type === "tool_result" ? [toResult(block)] : [])),
  );
  const userMessages = turn.flatMap((message) => {
    const content = toContent(message);
    return content === undefined ? [] : [{ role: "user", content }];
  });
  return [...results, ...userMessages];
}

function toAssistant(message: Message, sendsReasoning: boolean): Record<string, unknown>[] {
  const text = toContent(message);
  const thoughts = message.content.flatMap((block) => (block.type === "reasoning" ? [block.text] : []));
  const reasoning = sendsReasoning && thoughts.length > 0 ? { reasoning_content: thoughts.join("\n\n") } : {};
  const calls = message.content.filter(isCall).map(({ id, name, arguments: text }) => ({
    id,
    type: "function",
    function: { name, arguments: text },
  }));
  if (calls.length > 0) return [{ role: "assistant", content: text ?? null, ...reasoning, tool_calls: calls }];
  return text === undefined ? [] : [{ role: "assistant", content: text, ...reasoning }];
}

function isCall(block: ContentBlock): block is ContentBlock & { type: "tool_call" } {
  return block.type === "tool_call";
}

function toResult({ callId, text }: ContentBlock & { type: "tool_result" }): Record<string, unknown> {
  return { role: "tool", tool_call_id: callId, content: typeof text === "string" ? text : text.map(toPart) };
}

/** Returns a single text as a string, which every server accepts, unless the caller wrote a list. */
function toContent({ content, isList }: Message): string | object[] | undefined {
  const parts = content.flatMap(toParts);
  const [first] = parts;
  if (isList || parts.length > 1) return parts;
  return first && "text" in first ? first.text : first && [first];
}

type Part = { type: "text"; text: string } | { type: "image_url"; image_url: object } | { type: "file"; file: object };

function toParts(block: ContentBlock): Part[] {
  switch (block.type) {
    case "text":
      return [toPart(block.text)];
    case "image":
      return [toImage(block)];
    case "document":
      return [{ type: "file", file: { filename: block.name, file_data: dataUrlOf(block) } }];
    default:
      return [];
  }
}

function toImage(image: ImageBlock): Part {
  const url = { url: dataUrlOf(image), ...(image.detail !== undefined && { detail: image.detail }) };
  return { type: "image_url", image_url: url };
}

function toPart(text: string): Part {
  return { type: "text", text };
}

function toTool({ name, description, inputSchema }: NonNullable<CanonicalRequest["tools"]>[number]) {
  return {
    type: "function",
    function: { name, ...(description !== undefined && { description }), parameters: printableSchema(inputSchema) },
  };
}

function toToolChoice(choice: CanonicalRequest["toolChoice"]): Record<string, unknown> {
  if (choice === undefined) return {};
  return { tool_choice: typeof choice === "string" ? choice : { type: "function", function: { name: choice.name } } };
}

function toResponseFormat(format: NonNullable<CanonicalRequest["responseFormat"]>): Record<string, unknown> {
  if (format.type === "json_object") return format;
  const { type, schema, ...named } = format;
  return { type, json_schema: { ...named, schema: printableSchema(schema) } };
}
