// Formats answers of InvokeModel: the formats of the model families, and what Bedrock adds to each of them.
import { JsonText } from "../domain/json-text.ts";
import {
  converse,
  type Dialect,
  event,
  pieces,
  type Rendering,
  reasoningPieces,
  type StreamEvent,
  type Timing,
} from "./dialects.ts";
import type { Answer } from "./text.ts";

const padding = "abcdefghijklmnopqrstuvwxyz";

/**
 * Returns the dialect of InvokeModel for a family's format. Each event becomes a chunk; the last one carries metrics, and
 * the headers of an answer in one piece count tokens.
 */
export function invoked(family: Dialect): Dialect {
  return {
    body(rendering, timing) {
      const { json, headers } = family.body(rendering, timing);
      return { json, headers: { ...headers, ...(rendering.withUsage && usageHeaders(rendering, timing)) } };
    },
    events: (rendering) => family.events(rendering).map(chunk),
    ending(rendering, timing) {
      const events = family.ending(rendering, timing);
      return events.map((one, i) => {
        if (i < events.length - 1 || !rendering.withUsage) return chunk(one);
        const metrics = { "amazon-bedrock-invocationMetrics": metricsOf(rendering, timing) };
        return chunk({ ...one, payload: { ...(one.payload as object), ...metrics } });
      });
    },
  };
}

function chunk({ payload, tokens }: StreamEvent): StreamEvent {
  const bytes = Buffer.from(JSON.stringify(payload)).toString("base64");
  // Bedrock hides the length of a chunk with padding.
  return event("chunk", { bytes, p: padding.slice(0, 1 + (bytes.length % padding.length)) }, tokens);
}

function usageHeaders({ answer, inputTokens }: Rendering, timing: Timing): Record<string, string> {
  return {
    "x-amzn-bedrock-input-token-count": String(inputTokens),
    "x-amzn-bedrock-output-token-count": String(answer.tokens),
    "x-amzn-bedrock-invocation-latency": String(timing.totalMs),
  };
}

function metricsOf({ answer, inputTokens }: Rendering, timing: Timing) {
  return {
    inputTokenCount: inputTokens,
    outputTokenCount: answer.tokens,
    invocationLatency: timing.totalMs,
    firstByteLatency: timing.firstTokenMs,
  };
}

/** Returns an event whose type only the payload names. */
function part(payload: object, tokens = 0): StreamEvent {
  return event("chunk", payload, tokens);
}

/** Meta's Llama. */
export const llama: Dialect = {
  body: ({ answer, inputTokens, withUsage }) => ({
    json: {
      generation: answer.text,
      ...(withUsage && { prompt_token_count: inputTokens, generation_token_count: answer.tokens }),
      stop_reason: stopOrLength(answer),
    },
    headers: {},
  }),
  events({ answer, inputTokens, withUsage }) {
    let generated = 0;
    return pieces(answer).map((piece, i) => {
      generated += piece.tokens;
      return part(
        {
          generation: piece.text,
          prompt_token_count: i === 0 && withUsage ? inputTokens : null,
          generation_token_count: withUsage ? generated : null,
          stop_reason: null,
        },
        piece.tokens,
      );
    });
  },
  ending: ({ answer, withUsage }) => [
    part({
      generation: "",
      prompt_token_count: null,
      generation_token_count: withUsage ? answer.tokens : null,
      stop_reason: stopOrLength(answer),
    }),
  ],
};

/** DeepSeek R1's completions. */
export const deepSeek: Dialect = {
  body: ({ answer }) => ({
    json: { choices: [{ text: answer.text, stop_reason: stopOrLength(answer) }] },
    headers: {},
  }),
  events: ({ answer }) =>
    pieces(answer).map(({ text, tokens }) => part({ choices: [{ text, stop_reason: null }] }, tokens)),
  ending: ({ answer }) => [part({ choices: [{ text: "", stop_reason: stopOrLength(answer) }] })],
};

function stopOrLength(answer: Answer): "stop" | "length" {
  return answer.stopReason === "max_tokens" ? "length" : "stop";
}

/** Amazon's Nova: Converse's objects, with the type of an event as the key of the chunk. */
export const nova: Dialect = {
  body: converse.body,
  events: (rendering) => converse.events(rendering).map(keyed),
  ending: (rendering, timing) => converse.ending(rendering, timing).map(keyed),
};

function keyed({ type, payload, tokens }: StreamEvent): StreamEvent {
  return part({ [type]: payload }, tokens);
}

/** Anthropic's Messages API. */
export function claude(model: string): Dialect {
  const message = { id: "msg_bdrk_synthetic", type: "message", role: "assistant", model };
  return {
    body(rendering) {
      const { text, toolUse, reasoning } = rendering.answer;
      // Truncated input is no longer valid JSON.
      const isCut = rendering.answer.stopReason === "max_tokens";
      const content = toolUse
        ? { ...headOf(toolUse), input: isCut ? {} : new JsonText(toolUse.input) }
        : textBlock(text);
      const thought = reasoning ? [thinkingBlock(reasoning.text, reasoning.signature)] : [];
      const json = { ...message, content: [...thought, content], ...endOf(rendering), ...claudeUsage(rendering) };
      return { json, headers: {} };
    },
    events({ answer, ...rest }) {
      const { toolUse } = answer;
      const index = answer.reasoning ? 1 : 0;
      const usage = claudeUsage({ answer: { ...answer, tokens: 1 }, ...rest });
      const started = { ...message, content: [], stop_reason: null, stop_sequence: null, ...usage };
      return [
        part({ type: "message_start", message: started }),
        ...thinkingEvents(answer),
        part({
          type: "content_block_start",
          index,
          content_block: toolUse ? { ...headOf(toolUse), input: {} } : textBlock(""),
        }),
        ...pieces(answer).map(({ text, tokens }) => {
          const delta = toolUse ? { type: "input_json_delta", partial_json: text } : { type: "text_delta", text };
          return part({ type: "content_block_delta", index, delta }, tokens);
        }),
        part({ type: "content_block_stop", index }),
      ];
    },
    ending: (rendering) => [
      part({
        type: "message_delta",
        delta: endOf(rendering),
        ...(rendering.withUsage && { usage: { output_tokens: rendering.answer.tokens } }),
      }),
      part({ type: "message_stop" }),
    ],
  };
}

function thinkingEvents(answer: Answer): StreamEvent[] {
  const { reasoning } = answer;
  if (!reasoning) return [];
  const delta = (fields: object, tokens = 0) => part({ type: "content_block_delta", index: 0, delta: fields }, tokens);
  return [
    part({ type: "content_block_start", index: 0, content_block: thinkingBlock("", "") }),
    ...reasoningPieces(answer).map(({ text, tokens }) => delta({ type: "thinking_delta", thinking: text }, tokens)),
    delta({ type: "signature_delta", signature: reasoning.signature }),
    part({ type: "content_block_stop", index: 0 }),
  ];
}

function thinkingBlock(thinking: string, signature: string | undefined) {
  return { type: "thinking", thinking, signature };
}

function textBlock(text: string) {
  return { type: "text", text };
}

function headOf({ id, name }: NonNullable<Answer["toolUse"]>) {
  return { type: "tool_use", id, name };
}

function endOf({ answer, stopReason }: Rendering) {
  return { stop_reason: stopReason ?? answer.stopReason, stop_sequence: null };
}

function claudeUsage({ answer, inputTokens, withUsage }: Rendering) {
  if (!withUsage) return {};
  return {
    usage: {
      input_tokens: inputTokens,
      cache_creation_input_tokens: 0,
      cache_read_input_tokens: 0,
      output_tokens: answer.tokens,
    },
  };
}
