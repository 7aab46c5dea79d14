// Formats an answer as one JSON body, and as the events of a stream. Here is the format of Converse.
import { JsonText } from "../domain/json-text.ts";
import { type Answer, splitByTokens } from "./text.ts";

/** Number of tokens per event of a stream. */
const tokensPerEvent = 4;

/** One event of a streamed answer. */
export interface StreamEvent {
  type: string;
  payload: unknown;
  /** Number of tokens that the event contains. */
  tokens: number;
}

/** An answer and what to report with it. */
export interface Rendering {
  answer: Answer;
  inputTokens: number;
  /** Whether the answer reports usage. A fault may omit it. */
  withUsage: boolean;
  /** Stop reason that replaces the answer's own. */
  stopReason?: string;
  /** Service tier that served the call, if the call requested one. */
  serviceTier?: string;
}

export interface Timing {
  /** Time from admission to the end, in milliseconds. */
  totalMs: number;
  /** Time from admission to the first token, in milliseconds. */
  firstTokenMs: number;
}

/** Format of an API's answers. */
export interface Dialect {
  body(answer: Rendering, timing: Timing): { json: unknown; headers: Record<string, string> };
  /** Returns the events before the one that ends the message. */
  events(answer: Rendering): StreamEvent[];
  /** Returns the event that ends the message, and those after it. */
  ending(answer: Rendering, timing: Timing): StreamEvent[];
}

/** Returns an event of a streamed answer. */
export function event(type: string, payload: unknown, tokens = 0): StreamEvent {
  return { type, payload, tokens };
}

/** Returns the chunks in which a text, or the input of a tool, is streamed, with the tokens of each. */
export function pieces(answer: Answer): { text: string; tokens: number }[] {
  const tokens = answer.tokens - (answer.reasoning?.tokens ?? 0);
  return inPieces(answer.toolUse?.input ?? answer.text, tokens);
}

/** Returns the chunks in which the reasoning is streamed. */
export function reasoningPieces({ reasoning }: Answer): { text: string; tokens: number }[] {
  return reasoning ? inPieces(reasoning.text, reasoning.tokens) : [];
}

function inPieces(whole: string, tokens: number): { text: string; tokens: number }[] {
  return splitByTokens(whole, tokensPerEvent).map((text, i) => ({
    text,
    tokens: Math.min(tokensPerEvent, tokens - i * tokensPerEvent),
  }));
}

export const converse: Dialect = {
  body: (rendering, timing) => ({
    json: {
      output: {
        message: { role: "assistant", content: [...reasoningOf(rendering.answer), contentOf(rendering.answer)] },
      },
      stopReason: rendering.stopReason ?? rendering.answer.stopReason,
      usage: rendering.withUsage ? converseUsage(rendering) : undefined,
      metrics: { latencyMs: timing.totalMs },
      ...tierOf(rendering),
    },
    headers: {},
  }),
  // Most models send no contentBlockStart for text.
  events: ({ answer }) => {
    const contentBlockIndex = answer.reasoning ? 1 : 0;
    return [
      event("messageStart", { role: "assistant" }),
      ...reasoningEvents(answer),
      ...(answer.toolUse
        ? [event("contentBlockStart", { contentBlockIndex, start: { toolUse: headOf(answer.toolUse) } })]
        : []),
      ...pieces(answer).map(({ text, tokens }) => {
        const delta = answer.toolUse ? { toolUse: { input: text } } : { text };
        return event("contentBlockDelta", { contentBlockIndex, delta }, tokens);
      }),
      event("contentBlockStop", { contentBlockIndex }),
    ];
  },
  ending: (rendering, timing) => [
    event("messageStop", { stopReason: rendering.stopReason ?? rendering.answer.stopReason }),
    ...(rendering.withUsage
      ? [
          event("metadata", {
            usage: converseUsage(rendering),
            metrics: { latencyMs: timing.totalMs },
            ...tierOf(rendering),
          }),
        ]
      : []),
  ],
};

function reasoningOf({ reasoning }: Answer) {
  if (!reasoning) return [];
  const { text, signature } = reasoning;
  return [{ reasoningContent: { reasoningText: { text, ...(signature !== undefined && { signature }) } } }];
}

function reasoningEvents(answer: Answer): StreamEvent[] {
  if (!answer.reasoning) return [];
  const { signature } = answer.reasoning;
  const delta = (reasoningContent: object, tokens: number) =>
    event("contentBlockDelta", { contentBlockIndex: 0, delta: { reasoningContent } }, tokens);
  return [
    ...reasoningPieces(answer).map(({ text, tokens }) => delta({ text }, tokens)),
    ...(signature === undefined ? [] : [delta({ signature }, 0)]),
    event("contentBlockStop", { contentBlockIndex: 0 }),
  ];
}

function headOf({ id, name }: NonNullable<Answer["toolUse"]>) {
  return { toolUseId: id, name };
}

function contentOf({ text, toolUse, stopReason }: Answer) {
  if (!toolUse) return { text };
  // Truncated input is no longer valid JSON.
  return { toolUse: { ...headOf(toolUse), input: stopReason === "max_tokens" ? {} : new JsonText(toolUse.input) } };
}

function tierOf({ serviceTier }: Rendering) {
  return serviceTier === undefined ? {} : { serviceTier: { type: serviceTier } };
}

function converseUsage({ answer, inputTokens }: Rendering) {
  return { inputTokens, outputTokens: answer.tokens, totalTokens: inputTokens + answer.tokens };
}
