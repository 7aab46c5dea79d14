// From what Converse answers, whole or piece by piece, to our answer; or to a failure, because several ways to fail
// arrive as HTTP 200 with a stop reason.
import type { ContentBlock, ConverseResponse, ConverseStreamOutput, TokenUsage } from "@aws-sdk/client-bedrock-runtime";
import type { ErrorCode } from "../../domain/errors.ts";
import type { FinishReason, ToolCall, Usage } from "../../domain/job.ts";
import { scanJson } from "../../domain/json-scan.ts";
import { AnswerSize, jsonOf } from "../bounds.ts";
import {
  answeredByTool,
  argumentsOrEmpty,
  type FailureKind,
  type ProviderAnswer,
  type ProviderCall,
  ProviderError,
} from "../provider.ts";

/** What has been received of an answer. */
export interface Received {
  text: string;
  toolUses: ToolUse[];
  /** Only then is the answer complete; a stream may just stop. */
  stopReason?: string;
  /** Whether the message is missing, or holds something that is no content. */
  isMalformed?: true;
  usage?: Usage;
  serviceTier?: string;
}

interface ToolUse {
  id: string;
  name: string;
  /** As the model wrote it, in a stream piece by piece. */
  arguments: string;
}

export class AnswerCollector {
  readonly received: Received = { text: "", toolUses: [] };
  /** Of the model's first output, on the caller's clock. */
  firstTokenAt: number | undefined;
  readonly #size = new AnswerSize();
  readonly #now: () => number;
  readonly #onText: ((text: string) => void) | undefined;
  readonly #onOutput: ((piece: string) => void) | undefined;
  readonly #answerTool: string | undefined;
  /** By the index of their content block. */
  readonly #toolUses = new Map<number, ToolUse>();
  /** The first call of the tool that carries the answer. */
  #answer: ToolUse | undefined;

  /** @param answerTool the tool whose input is the answer; what the model says besides is not passed on as it comes */
  constructor(now: () => number, { onText, onOutput }: Pick<ProviderCall, "onText" | "onOutput">, answerTool?: string) {
    this.#now = now;
    this.#onText = onText;
    this.#onOutput = onOutput;
    this.#answerTool = answerTool;
  }

  /** @throws ProviderError if the answer is too large */
  add(event: ConverseStreamOutput): void {
    if (event.contentBlockStart) {
      const { contentBlockIndex = 0, start } = event.contentBlockStart;
      if (start?.toolUse) {
        this.#size.addToolCall();
        const toolUse = { id: start.toolUse.toolUseId ?? "", name: start.toolUse.name ?? "", arguments: "" };
        this.#toolUses.set(contentBlockIndex, toolUse);
        this.received.toolUses.push(toolUse);
        if (toolUse.name === this.#answerTool) this.#answer ??= toolUse;
      }
    } else if (event.contentBlockDelta) {
      this.firstTokenAt ??= this.#now();
      const { contentBlockIndex = 0, delta } = event.contentBlockDelta;
      const output = delta?.text ?? delta?.toolUse?.input ?? delta?.reasoningContent?.text;
      if (typeof output === "string" && output !== "") this.#onOutput?.(output);
      if (typeof delta?.text === "string") {
        this.#size.add(delta.text);
        this.received.text += delta.text;
        if (this.#answerTool === undefined) this.#onText?.(delta.text);
      } else if (delta?.toolUse) {
        const toolUse = this.#toolUses.get(contentBlockIndex);
        const piece = delta.toolUse.input ?? "";
        this.#size.add(piece);
        if (toolUse) toolUse.arguments += piece;
        if (toolUse && toolUse === this.#answer && piece !== "") this.#onText?.(piece);
      }
    } else if (event.messageStop) {
      this.received.stopReason = event.messageStop.stopReason ?? "end_turn";
    } else if (event.metadata) {
      this.received.usage = toUsage(event.metadata.usage);
      this.received.serviceTier = event.metadata.serviceTier?.type;
    }
  }
}

/**
 * The same for an answer that came in one piece.
 * @throws ProviderError if it is nested too deeply
 * @param body the text that the response was parsed from: only there are the arguments of tools as they came
 */
export function receivedAtOnce(response: ConverseResponse, body: string): Received {
  const blocks: unknown = response.output?.message?.content;
  const isMalformed = !Array.isArray(blocks) || blocks.some((block) => typeof block !== "object" || block === null);
  const content: ContentBlock[] = isMalformed ? [] : blocks;
  const inputs = new Map<number, string>();
  if (content.some(({ toolUse }) => toolUse)) {
    const spans = scanJson(body, ["output.message.content.*.toolUse.input"]);
    for (const { path, text } of spans) inputs.set(path[3] as number, text);
  }
  return {
    text: content.map((block) => block.text ?? "").join(""),
    toolUses: content.flatMap(({ toolUse }, i): ToolUse[] => {
      if (!toolUse) return [];
      const { toolUseId = "", name = "", input } = toolUse;
      return [{ id: toolUseId, name, arguments: inputs.get(i) ?? jsonOf(input ?? {}) }];
    }),
    ...(isMalformed && { isMalformed }),
    stopReason: response.stopReason,
    usage: toUsage(response.usage),
    serviceTier: response.serviceTier?.type,
  };
}

function toUsage(usage: TokenUsage | undefined): Usage | undefined {
  if (usage?.inputTokens === undefined || usage.outputTokens === undefined) return undefined;
  return {
    input: usage.inputTokens,
    output: usage.outputTokens,
    ...(usage.cacheReadInputTokens === undefined ? {} : { cacheRead: usage.cacheReadInputTokens }),
    ...(usage.cacheWriteInputTokens === undefined ? {} : { cacheWrite: usage.cacheWriteInputTokens }),
    ...cacheTimes(usage.cacheDetails),
  };
}

/** With checkpoints of both kinds in one request, only this tells what was kept for how long. */
function cacheTimes(details: TokenUsage["cacheDetails"]): Pick<Usage, "cacheWriteHour"> {
  if (!details?.length) return {};
  const ofAnHour = details.filter(({ ttl }) => ttl === "1h");
  return { cacheWriteHour: ofAnHour.reduce((sum, { inputTokens = 0 }) => sum + inputTokens, 0) };
}

/**
 * The answer, if what was received is one.
 * @param answerTool the tool whose input is the answer
 * @throws ProviderError if the generation failed, whatever the HTTP status was.
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
    // end_turn and stop_sequence. A reason that is new to us comes with a complete answer too, which has been paid for.
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
  return { ...answeredByTool({ text, toolCalls, finishReason }, answerTool), ...billed };
}
