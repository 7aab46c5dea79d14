// Converts chat completions, whole or in chunks, to our answers, or to failures, because several kinds of failure
// arrive as HTTP 200. Servers differ in what they omit, so nothing about a chunk's form is assumed.
import type { ErrorCode } from "../../domain/errors.ts";
import type { FinishReason, ToolCall, Usage } from "../../domain/job.ts";
import { AnswerSize } from "../bounds.ts";
import { answeredByTool, argumentsOrEmpty, type FailureKind, type ProviderAnswer, ProviderError } from "../provider.ts";

/** The part of an answer received so far. */
export interface Received {
  text: string;
  /** What the model thought, as far as the server shows it. */
  reasoning: string;
  /** Refusal that the model gives in place of an answer. */
  refusal: string;
  toolCalls: OpenToolCall[];
  /** Set when the answer is complete. A stream may end without it. */
  finishReason?: string;
  /** Set if a choice contained a message or a part of one. It may be empty. */
  hasMessage?: true;
  /** Set if the tool calls contain something that is not a tool call. */
  hasBrokenCall?: true;
  usage?: Usage;
  serviceTier?: string;
  /** The answer's own id, for servers that send no other. */
  id?: string;
  /** Counts texts and tool calls. */
  size: AnswerSize;
}

interface OpenToolCall {
  /** Index among the calls. Some servers omit it. */
  index?: number;
  id: string;
  name: string;
  /** Arguments as the model wrote them. In a stream they grow chunk by chunk. */
  arguments: string;
}

/** Returns the state before anything was received. */
export function nothingReceived(): Received {
  return { text: "", reasoning: "", refusal: "", toolCalls: [], size: new AnswerSize() };
}

type Json = Record<string, unknown>;

/**
 * Adds a chunk of a stream, or a whole completion, which has `message` in place of `delta`.
 * @param answerTool tool whose arguments are the answer. Other text of the model is not streamed then
 * @returns the text in the chunk, everything that the model generated in it, and whether it generated anything
 * @throws ProviderError if the answer is too large
 */
export function receive(
  received: Received,
  chunk: Json,
  answerTool?: string,
): { text: string; output: string; produced: boolean } {
  if (typeof chunk.id === "string" && chunk.id !== "") received.id = chunk.id;
  if (typeof chunk.service_tier === "string") received.serviceTier = chunk.service_tier;
  received.usage = toUsage(chunk.usage) ?? received.usage;
  const choices = Array.isArray(chunk.choices) ? chunk.choices.filter(isObject) : [];
  const choice = choices.find(({ index }) => index === undefined || index === 0);
  if (!choice) return { text: "", output: "", produced: false };
  if (typeof choice.finish_reason === "string" && choice.finish_reason !== "") {
    received.finishReason = choice.finish_reason;
  }
  const message = [choice.delta, choice.message].find(isObject);
  if (message) received.hasMessage = true;
  const piece = message ?? {};
  const text = textOf(piece.content);
  received.size.add(text);
  received.text += text;
  if (typeof piece.refusal === "string") {
    received.size.add(piece.refusal);
    received.refusal += piece.refusal;
  }
  const calls = Array.isArray(piece.tool_calls) ? piece.tool_calls : [];
  const toolCalls = calls.filter(isObject);
  if (toolCalls.length < calls.length) received.hasBrokenCall = true;
  const before = carried(received, answerTool);
  for (const call of toolCalls) receiveToolCall(received, call);
  const given = piece.reasoning_content ?? piece.reasoning;
  const thoughts = isText(given) ? given : "";
  received.size.add(thoughts);
  received.reasoning += thoughts;
  return {
    text: answerTool === undefined ? text : carried(received, answerTool).slice(before.length),
    output: [text, piece.refusal, ...toolCalls.map(argumentsOf), thoughts].filter(isText).join(""),
    produced: text !== "" || toolCalls.length > 0 || thoughts !== "",
  };
}

function argumentsOf({ function: called }: Json): unknown {
  return isObject(called) ? called.arguments : undefined;
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

/** Returns the part of the answer that has arrived in the arguments of the tool that carries it. */
function carried({ toolCalls }: Received, answerTool: string | undefined): string {
  if (answerTool === undefined) return "";
  return toolCalls.find(({ name }) => name === answerTool)?.arguments ?? "";
}

/** Returns the text of a content, which is a string or a list of parts. Only text parts belong to the answer. */
function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content.map((part) => (isObject(part) && typeof part.text === "string" ? part.text : "")).join("");
}

/**
 * Adds a chunk to the call with its index, or to the latest call if it has no index. An id other than the call's own
 * begins a new call, because some servers give every call the index 0.
 */
function receiveToolCall({ toolCalls: calls, size }: Received, piece: Json): void {
  const index = typeof piece.index === "number" ? piece.index : undefined;
  const id = typeof piece.id === "string" ? piece.id : "";
  const begun = index === undefined ? calls.at(-1) : calls.findLast((call) => call.index === index);
  let call = begun !== undefined && (id === "" || begun.id === "" || begun.id === id) ? begun : undefined;
  if (!call) {
    size.addToolCall();
    call = { ...(index !== undefined && { index }), id, name: "", arguments: "" };
    calls.push(call);
  }
  call.id ||= id;
  const { name, arguments: text } = isObject(piece.function) ? piece.function : {};
  if (typeof name === "string") call.name ||= name;
  if (typeof text !== "string") return;
  size.add(text);
  call.arguments += text;
}

/** Converts usage. OpenAI's count of the prompt includes cached tokens, ours does not. */
function toUsage(usage: unknown): Usage | undefined {
  if (!isObject(usage)) return undefined;
  const { prompt_tokens: prompt, completion_tokens: completion } = usage;
  if (typeof prompt !== "number" || typeof completion !== "number") return undefined;
  // DeepSeek and Moonshot have their own names for cached tokens.
  const cached =
    detail(usage.prompt_tokens_details, "cached_tokens") ||
    detail(usage, "prompt_cache_hit_tokens") ||
    detail(usage, "cached_tokens");
  const reasoning = detail(usage.completion_tokens_details, "reasoning_tokens");
  // xAI does not count reasoning in the completion. The total shows it.
  const isApart = reasoning > 0 && completion >= 0 && usage.total_tokens === prompt + completion + reasoning;
  const output = isApart ? completion + reasoning : completion;
  return {
    ...(cached > 0 && cached <= prompt
      ? { input: prompt - cached, output, cacheRead: cached }
      : { input: prompt, output }),
    ...(reasoning > 0 && { reasoning }),
  };
}

/** Returns a count, or 0 if the server does not report it. */
function detail(details: unknown, name: string): number {
  const tokens = isObject(details) ? details[name] : undefined;
  return typeof tokens === "number" ? tokens : 0;
}

/** Returns the usage that OpenAI's limits count. They include cached tokens. */
function countedUsage({ input, output, cacheRead }: Usage): { quotaUsage?: Usage } {
  return cacheRead === undefined ? {} : { quotaUsage: { input: input + cacheRead, output } };
}

/**
 * Converts what was received to an answer.
 * @param answerTool tool whose arguments are the answer
 * @throws ProviderError if the generation failed, whatever the HTTP status was
 */
export function toAnswer(received: Received, requestId: string | undefined, answerTool?: string): ProviderAnswer {
  const { text, refusal } = received;
  const about = {
    ...(received.usage && { usage: received.usage, ...countedUsage(received.usage) }),
    ...(received.serviceTier && { serviceTier: received.serviceTier }),
    ...(requestId !== undefined && { requestId }),
  };
  const fail = (kind: FailureKind, code: ErrorCode, message: string): never => {
    throw new ProviderError({ kind, code, message, maybeBilled: true, ...about });
  };
  let finishReason: FinishReason;
  switch (received.finishReason) {
    case undefined:
      return fail("transient", "unknown_end", "The server stopped before the answer was complete.");
    case "length":
      finishReason = "length";
      break;
    case "content_filter":
      return fail("permanent", "content_filtered", "The server's content filter stopped the answer.");
    case "error":
    case "abort":
    case "insufficient_system_resource":
      return fail(
        "transient",
        "unknown_end",
        `The server stopped before the answer was complete (finish_reason: ${received.finishReason}).`,
      );
    // stop, tool_calls, and the older function_call. A reason that is new to us also comes with a complete answer,
    // which has been paid for. If a job requires a tool, OpenAI calls it and reports "stop".
    default:
      finishReason = received.toolCalls.length > 0 ? "tool_calls" : "stop";
  }
  if (!received.hasMessage) return fail("transient", "malformed_output", "The server's answer has no message.");
  const asksInVain = /^(tool_calls|function_call)$/.test(received.finishReason) && text + refusal === "";
  if (received.hasBrokenCall || (asksInVain && received.toolCalls.length === 0)) {
    return fail("transient", "malformed_output", "The answer contains a malformed tool call.");
  }
  if (refusal !== "" && text === "") {
    const words = refusal.length > 500 ? `${refusal.slice(0, 499)}…` : refusal;
    return fail("permanent", "content_filtered", `The model refused: ${words}`);
  }
  const toolCalls = received.toolCalls.map(
    ({ id, name, arguments: text }, i): ToolCall => ({
      id: id || `call_${i + 1}`,
      name,
      arguments: finishReason === "length" ? text : argumentsOrEmpty(text),
    }),
  );
  const reasoning = received.reasoning === "" ? {} : { reasoning: [{ text: received.reasoning }] };
  return { ...answeredByTool({ text, toolCalls, finishReason }, answerTool), ...reasoning, ...about };
}

/** Whether a value is an object and not a list. */
export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
