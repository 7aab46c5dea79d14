// Converts prompts and answers to attributes of a span, in the form of OpenTelemetry's conventions for generative AI.
// They are recorded only with `tracing.content: true`.
import type { Outcome, ToolCall } from "../../domain/job.ts";
import { bytesOf, mediaTypeOf } from "../../domain/media.ts";
import { nativeContent } from "../../domain/native-content.ts";
import { type ContentBlock, isNative, type JobRequest, resultText } from "../../domain/request.ts";
import type { GenAiNames } from "../../telemetry/span-names.ts";
import type { SpanAttributes } from "../../telemetry/tracing.ts";

/** Returns the messages of a request. Of a native request returns all that the model reads, as one message. */
export function inputContent(names: GenAiNames, request: JobRequest): SpanAttributes {
  if (isNative(request)) {
    const parts = nativeContent(JSON.parse(request.native.body) as object).texts.map(textPart);
    return { [names.inputMessages]: JSON.stringify([{ role: "user", parts }]) };
  }
  const { messages, system } = request;
  const input = messages.map(({ role, content }) => ({ role, parts: content.flatMap(partsOf) }));
  return {
    [names.system]: system === undefined ? undefined : JSON.stringify([textPart(system)]),
    [names.inputMessages]: JSON.stringify(input),
  };
}

type Answer = Pick<Outcome, "text" | "toolCalls" | "reasoning" | "finishReason">;

/** Returns the answer. */
export function outputContent(
  names: GenAiNames,
  { text, toolCalls = [], reasoning = [], finishReason }: Answer,
): SpanAttributes {
  const thoughts = reasoning.map(({ text: content }) => ({ type: "reasoning", content }));
  const parts = [...thoughts, ...(text ? [textPart(text)] : []), ...toolCalls.map(callPart)];
  return parts.length === 0
    ? {}
    : { [names.outputMessages]: JSON.stringify([{ role: "assistant", parts, finish_reason: finishReason }]) };
}

function partsOf(block: ContentBlock): object[] {
  switch (block.type) {
    case "text":
      return [textPart(block.text)];
    case "tool_call":
      return [callPart(block)];
    case "tool_result":
      return [{ type: "tool_call_response", id: block.callId, response: resultText(block) }];
    case "reasoning":
      return [{ type: "reasoning", content: block.text }];
    case "image":
    case "document":
      return [{ type: "blob", modality: block.type, mime_type: mediaTypeOf(block), size: bytesOf(block.data) }];
    case "cache_point":
      return [];
  }
}

const textPart = (content: string) => ({ type: "text", content });
const callPart = ({ id, name, arguments: text }: ToolCall) => ({ type: "tool_call", id, name, arguments: text });
