// From the canonical request to the body of a chat completion.
import { type CanonicalRequest, type ContentBlock, type Message, normaliseMessages } from "../../domain/request.ts";
import { printableSchema } from "../../domain/schema-text.ts";

export interface BodyOptions {
  modelId: string;
  streaming: boolean;
  /** Whether to ask that a stream ends with what it used; some servers refuse the wish. */
  streamUsage: boolean;
  /** What the server calls the limit of output tokens. */
  maxTokensField: "max_tokens" | "max_completion_tokens";
  /** What the model refuses, by the names of the catalogue. Default: nothing. */
  refuses?: readonly string[] | undefined;
}

/** What is absent is not sent, except the limit of output tokens, which is what the quotas were charged with. */
export function toChatCompletion(request: CanonicalRequest, options: BodyOptions): Record<string, unknown> {
  const { parameters: p, tools, responseFormat, parallelToolCalls } = request;
  const takes = (name: string) => !options.refuses?.includes(name);
  const system = request.system?.trim() ? [{ role: "system", content: request.system }] : [];
  return {
    model: options.modelId,
    messages: [...system, ...normaliseMessages(request.messages).flatMap(toMessages)],
    [options.maxTokensField]: p.maxTokens,
    ...(p.temperature !== undefined && { temperature: p.temperature }),
    ...(p.topP !== undefined && { top_p: p.topP }),
    // Not one of OpenAI's, but vLLM, llama.cpp and others take it.
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

/** One message becomes several where tools have answered: each result is a message of its own, and they come first. */
function toMessages({ role, content }: Message): Record<string, unknown>[] {
  const text = toContent(content);
  if (role === "assistant") {
    const calls = content.flatMap((block) =>
      block.type === "tool_call"
        ? [{ id: block.id, type: "function", function: { name: block.name, arguments: block.arguments } }]
        : [],
    );
    return [{ role, content: text ?? null, ...(calls.length > 0 && { tool_calls: calls }) }];
  }
  const results = content.flatMap((block) =>
    block.type === "tool_result" ? [{ role: "tool", tool_call_id: block.callId, content: block.text }] : [],
  );
  return [...results, ...(text === undefined ? [] : [{ role, content: text }])];
}

/** A single text as a string, which every server reads; several as parts, so that nothing is put between them. */
function toContent(content: ContentBlock[]): string | { type: "text"; text: string }[] | undefined {
  const texts = content.filter((block) => block.type === "text");
  if (texts.length === 0) return undefined;
  return texts.length === 1 ? texts[0]!.text : texts.map(({ text }) => ({ type: "text", text }));
}

function toTool({ name, description, inputSchema }: NonNullable<CanonicalRequest["tools"]>[number]) {
  return {
    type: "function",
    function: { name, ...(description && { description }), parameters: printableSchema(inputSchema) },
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
