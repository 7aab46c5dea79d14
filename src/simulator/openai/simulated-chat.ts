// Formats a chat completion as one JSON body and as server-sent events.

import type { Wire } from "../aws-bodies.ts";
import { BedrockError, statusOf } from "../aws-errors.ts";
import { type Dialect, pieces, type Rendering, reasoningPieces, type StreamEvent } from "../dialects.ts";
import { errorBody } from "./openai-error-bodies.ts";

export interface ChatOptions {
  requestId: string;
  modelId: string;
  /** Seconds since the epoch. */
  created: number;
  /** Whether a stream ends with its usage. */
  streamUsage: boolean;
}

/** Returns the format of one chat completion. */
export function chatDialect({ requestId, modelId, created, streamUsage }: ChatOptions): Dialect {
  const shell = (object: string, choices: object[]) => ({
    id: `chatcmpl-${requestId}`,
    object,
    created,
    model: modelId,
    system_fingerprint: "simulator",
    choices,
  });
  const chunk = (delta: object, finish: string | null, tokens: number): StreamEvent => {
    const choice = { index: 0, delta, logprobs: null, finish_reason: finish };
    const payload = { ...shell("chat.completion.chunk", [choice]), ...(streamUsage && { usage: null }) };
    return { type: "chunk", payload, tokens };
  };
  return {
    body(rendering) {
      const { text, toolUse, reasoning } = rendering.answer;
      const message = {
        role: "assistant",
        content: toolUse ? null : text,
        refusal: null,
        ...(reasoning && { reasoning_content: reasoning.text }),
        ...(toolUse && { tool_calls: [toolCall(toolUse, toolUse.input)] }),
      };
      const choice = { index: 0, message, logprobs: null, finish_reason: finishReason(rendering) };
      const usage = rendering.withUsage ? { usage: usageOf(rendering) } : {};
      return { json: { ...shell("chat.completion", [choice]), ...usage }, headers: {} };
    },
    events({ answer }) {
      const { toolUse } = answer;
      const thoughts = reasoningPieces(answer).map(({ text, tokens }) =>
        chunk({ role: "assistant", content: null, reasoning_content: text }, null, tokens),
      );
      if (!toolUse) {
        return [
          ...thoughts,
          chunk({ role: "assistant", content: "", refusal: null }, null, 0),
          ...pieces(answer).map(({ text, tokens }) => chunk({ content: text }, null, tokens)),
        ];
      }
      const head = { index: 0, ...toolCall(toolUse, "") };
      return [
        ...thoughts,
        chunk({ role: "assistant", content: null, tool_calls: [head] }, null, 0),
        ...pieces(answer).map(({ text, tokens }) =>
          chunk({ tool_calls: [{ index: 0, function: { arguments: text } }] }, null, tokens),
        ),
      ];
    },
    ending(rendering) {
      const usage = { ...shell("chat.completion.chunk", []), usage: usageOf(rendering) };
      return [
        chunk({}, finishReason(rendering), 0),
        ...(streamUsage && rendering.withUsage ? [{ type: "chunk", payload: usage, tokens: 0 }] : []),
        { type: "done", payload: undefined, tokens: 0 },
      ];
    },
  };
}

function usageOf({ inputTokens, answer }: Rendering) {
  return {
    prompt_tokens: inputTokens,
    completion_tokens: answer.tokens,
    total_tokens: inputTokens + answer.tokens,
    prompt_tokens_details: { cached_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: answer.reasoning?.tokens ?? 0 },
  };
}

function toolCall({ id, name }: { id: string; name: string }, input: string) {
  return { id, type: "function", function: { name, arguments: input } };
}

function finishReason({ answer, stopReason }: Rendering): string {
  if (stopReason !== undefined) return stopReason;
  if (answer.stopReason === "max_tokens") return "length";
  return answer.stopReason === "tool_use" ? "tool_calls" : "stop";
}

export const openAiWire: Wire = {
  streamType: "text/event-stream; charset=utf-8",
  requestIdHeader: "x-request-id",
  event: ({ type, payload }) => Buffer.from(`data: ${type === "done" ? "[DONE]" : JSON.stringify(payload)}\n\n`),
  exception: (name, message) => errorEvent(name, message),
  errorFrame: (name, message) => Buffer.concat([Buffer.from("event: error\n"), errorEvent(name, message)]),
  // The first byte of the JSON, after `data: `.
  corrupt(frame) {
    frame[6] = "#".charCodeAt(0);
    return frame;
  },
  sendError(exchange, error, requestId, headers = {}) {
    const all = { "content-type": "application/json", "x-request-id": requestId, ...headers };
    exchange.send(error.status, all, JSON.stringify(errorBody(error)));
  },
};

function errorEvent(name: string, message: string): Buffer {
  const error = new BedrockError(name, message, statusOf(name) ?? 500);
  return Buffer.from(`data: ${JSON.stringify(errorBody(error))}\n\n`);
}
