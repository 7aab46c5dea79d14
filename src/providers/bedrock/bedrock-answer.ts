// Converts Converse responses and streams to our answers, or to failures, because several kinds of failure arrive as
// HTTP 200 with a stop reason.
import type {
  ContentBlock,
  ContentBlockDeltaEvent,
  ContentBlockStartEvent,
  ConverseResponse,
  ConverseStreamMetadataEvent,
  MessageStopEvent,
  ReasoningContentBlock,
  ReasoningContentBlockDelta,
  TokenUsage,
} from "@aws-sdk/client-bedrock-runtime";
import type { ErrorCode } from "../../domain/errors.ts";
import type { FinishReason, ToolCall, Usage } from "../../domain/job.ts";
import { scanJson } from "../../domain/json-scan.ts";
import type { Reasoning } from "../../domain/request.ts";
import { converseEvents } from "../../native/converse-form.ts";
import { AnswerSize } from "../bounds.ts";
import { answeredByTool, argumentsOrEmpty, type FailureKind, type ProviderAnswer, ProviderError } from "../provider.ts";
import type { Listeners } from "./model-call.ts";
import type { Wire } from "./wire-types.ts";

/** The part of an answer received so far. */
export interface Received {
  text: string;
  toolUses: ToolUse[];
  reasoning: Reasoning[];
  /** Set when the answer is complete. A stream may end without it. */
  stopReason?: string;
  /** Set if the message is missing, or contains something that is not content. */
  isMalformed?: true;
  usage?: Usage;
  serviceTier?: string;
}

interface ToolUse {
  id: string;
  name: string;
  /** Arguments as the model wrote them. In a stream they grow chunk by chunk. */
  arguments: string;
}

/** An event of the stream. Its payloads are a server's, so any of them may lack what the service's model requires. */
interface StreamEvent {
  contentBlockStart?: Partial<ContentBlockStartEvent>;
  contentBlockDelta?: Wire<Partial<ContentBlockDeltaEvent>>;
  messageStop?: Partial<MessageStopEvent>;
  metadata?: Wire<Partial<ConverseStreamMetadataEvent>>;
}

/** Collects an answer from the events of a stream. */
export class AnswerCollector {
  readonly received: Received = { text: "", toolUses: [], reasoning: [] };
  readonly #size = new AnswerSize();
  readonly #listeners: Listeners;
  readonly #answerTool: string | undefined;
  /** Tool uses by the index of their content block. */
  readonly #toolUses = new Map<number, ToolUse>();
  /** Reasoning by the index of its content block. */
  readonly #reasoning = new Map<number, Reasoning>();
  /** The first call of the tool that carries the answer. */
  #answer: ToolUse | undefined;

  /**
   * Creates a collector for one answer.
   * @param answerTool tool whose input is the answer. Other text of the model is not streamed then
   */
  constructor(listeners: Listeners, answerTool?: string) {
    this.#listeners = listeners;
    this.#answerTool = answerTool;
  }

  /**
   * Adds an event of the stream. Returns whether it is part of an answer. Events of unknown types are not.
   * @param payload JSON
   * @throws ProviderError if the answer is too large, SyntaxError if the payload is not JSON
   */
  add(type: string, payload: string): boolean {
    if (!converseEvents.has(type)) return false;
    this.#add({ [type]: JSON.parse(payload) });
    return true;
  }

  #add(event: StreamEvent): void {
    if (event.contentBlockStart) {
      const { contentBlockIndex = 0, start } = event.contentBlockStart;
      if (start?.toolUse) {
        this.#size.addToolCall();
        const toolUse = { id: textOf(start.toolUse.toolUseId), name: textOf(start.toolUse.name), arguments: "" };
        this.#toolUses.set(contentBlockIndex, toolUse);
        this.received.toolUses.push(toolUse);
        if (toolUse.name === this.#answerTool) this.#answer ??= toolUse;
      }
    } else if (event.contentBlockDelta) {
      this.#listeners.onDelta();
      const { contentBlockIndex = 0, delta } = event.contentBlockDelta;
      const output = delta?.text ?? delta?.toolUse?.input ?? delta?.reasoningContent?.text;
      if (typeof output === "string" && output !== "") this.#listeners.onOutput(output);
      if (typeof delta?.text === "string") {
        this.#size.add(delta.text);
        this.received.text += delta.text;
        if (this.#answerTool === undefined) this.#listeners.onText(delta.text);
      } else if (delta?.toolUse) {
        const toolUse = this.#toolUses.get(contentBlockIndex);
        const piece = textOf(delta.toolUse.input);
        this.#size.add(piece);
        if (toolUse) toolUse.arguments += piece;
        if (toolUse && toolUse === this.#answer && piece !== "") this.#listeners.onText(piece);
      } else if (delta?.reasoningContent) {
        this.#addReasoning(contentBlockIndex, delta.reasoningContent);
      }
    } else if (event.messageStop) {
      this.received.stopReason = event.messageStop.stopReason ?? "end_turn";
    } else if (event.metadata) {
      this.received.usage = toUsage(event.metadata.usage);
      this.received.serviceTier = event.metadata.serviceTier?.type;
    }
  }

  #addReasoning(index: number, delta: Wire<Partial<ReasoningContentBlockDelta>>): void {
    let reasoning = this.#reasoning.get(index);
    if (!reasoning) {
      this.#size.addReasoning();
      reasoning = { text: "" };
      this.#reasoning.set(index, reasoning);
      this.received.reasoning.push(reasoning);
    }
    const text = textOf(delta.text);
    const signature = textOf(delta.signature);
    const redacted = textOf(delta.redactedContent);
    for (const piece of [text, signature, redacted]) this.#size.add(piece);
    reasoning.text += text;
    if (signature !== "") reasoning.signature = (reasoning.signature ?? "") + signature;
    if (redacted !== "") reasoning.redacted = (reasoning.redacted ?? "") + redacted;
  }
}

/** Returns the reasoning of a content block, or an empty list if it shows nothing. */
function reasoningOf({ reasoningText, redactedContent }: Wire<Partial<ReasoningContentBlock>>): Reasoning[] {
  const text = textOf(reasoningText?.text);
  const signature = textOf(reasoningText?.signature);
  const redacted = textOf(redactedContent);
  if (text === "" && signature === "" && redacted === "") return [];
  return [{ text, ...(signature !== "" && { signature }), ...(redacted !== "" && { redacted }) }];
}

/**
 * Returns the content of an answer that was not streamed.
 * @param body JSON of the response
 * @throws SyntaxError if the body is not JSON
 */
export function receivedAtOnce(body: string): Received {
  const response: Wire<ConverseResponse> = JSON.parse(body) ?? {};
  const blocks: unknown = response.output?.message?.content;
  const isMalformed = !Array.isArray(blocks) || blocks.some((block) => typeof block !== "object" || block === null);
  const content: Wire<Partial<ContentBlock>>[] = isMalformed ? [] : blocks;
  const inputs = new Map<number, string>();
  if (content.some(({ toolUse }) => toolUse)) {
    const spans = scanJson(body, ["output.message.content.*.toolUse.input"]);
    for (const { path, text } of spans) inputs.set(path[3] as number, text);
  }
  return {
    text: content.map(({ text }) => textOf(text)).join(""),
    toolUses: content.flatMap(({ toolUse }, i): ToolUse[] => {
      if (!toolUse) return [];
      const { toolUseId, name, input } = toolUse;
      // Only a list or an object has a text of its own.
      return [{ id: textOf(toolUseId), name: textOf(name), arguments: inputs.get(i) ?? JSON.stringify(input ?? {}) }];
    }),
    reasoning: content.flatMap(({ reasoningContent }) => (reasoningContent ? reasoningOf(reasoningContent) : [])),
    ...(isMalformed && { isMalformed }),
    stopReason: response.stopReason ?? undefined,
    usage: toUsage(response.usage),
    serviceTier: response.serviceTier?.type,
  };
}

/** Returns a value of a server's JSON if it is a text, or else an empty text. */
function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function toUsage(usage: Partial<TokenUsage> | undefined): Usage | undefined {
  if (typeof usage?.inputTokens !== "number" || typeof usage.outputTokens !== "number") return undefined;
  return {
    input: usage.inputTokens,
    output: usage.outputTokens,
    ...(typeof usage.cacheReadInputTokens === "number" && { cacheRead: usage.cacheReadInputTokens }),
    ...(typeof usage.cacheWriteInputTokens === "number" && { cacheWrite: usage.cacheWriteInputTokens }),
    ...cacheTimes(usage.cacheDetails),
  };
}

/**
 * Returns how many tokens are cached for an hour. If one request has checkpoints of both kinds, only these details say
 * so.
 */
function cacheTimes(details: TokenUsage["cacheDetails"]): Pick<Usage, "cacheWriteHour"> {
  if (!Array.isArray(details) || details.length === 0) return {};
  const ofAnHour = details.filter(({ ttl }) => ttl === "1h");
  return { cacheWriteHour: ofAnHour.reduce((sum, { inputTokens = 0 }) => sum + inputTokens, 0) };
}

/**
 * Converts what was received to an answer.
 * @param answerTool tool whose input is the answer
 * @throws ProviderError if the generation failed, whatever the HTTP status was
 */
export function toAnswer(received: Received, requestId: string | undefined, answerTool?: string): ProviderAnswer {
  const { text, stopReason, usage, serviceTier } = received;
  const billed = { usage, requestId, ...(serviceTier !== undefined && { serviceTier }) };
  const fail = (kind: FailureKind, code: ErrorCode, message: string): never => {
    throw new ProviderError({ kind, code, message, maybeBilled: true, ...billed });
  };
  let finishReason: FinishReason;
  switch (stopReason) {
    case undefined:
      return fail("transient", "unknown_end", "The provider stopped before the answer was complete.");
    case "max_tokens":
      finishReason = "length";
      break;
    case "tool_use":
      finishReason = "tool_calls";
      break;
    case "guardrail_intervened":
      return fail("permanent", "content_filtered", "A guardrail stopped the request or its answer.");
    case "content_filtered":
      return fail("permanent", "content_filtered", "The model's content filter stopped the answer.");
    case "malformed_model_output":
      return fail("transient", "malformed_output", "The model's output was malformed.");
    case "malformed_tool_use":
      return fail("transient", "malformed_output", "The model's tool call was malformed.");
    case "model_context_window_exceeded":
      return fail("permanent", "context_exceeded", "Prompt and answer do not fit into the model's context window.");
    // end_turn and stop_sequence. A reason that is new to us also comes with a complete answer, which has been paid
    // for.
    default:
      finishReason = "stop";
  }
  if (received.isMalformed || (stopReason === "tool_use" && text === "" && received.toolUses.length === 0)) {
    return fail("transient", "malformed_output", "The provider's answer contains no message, or a malformed one.");
  }
  const toolCalls = received.toolUses.map(
    ({ id, name, arguments: text }): ToolCall => ({
      id,
      name,
      arguments: finishReason === "length" ? text : argumentsOrEmpty(text),
    }),
  );
  const { reasoning } = received;
  return {
    ...answeredByTool({ text, toolCalls, finishReason }, answerTool),
    ...(reasoning.length > 0 && { reasoning }),
    ...billed,
  };
}
