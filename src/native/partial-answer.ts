// Collects what a native answer contains while Sluice reads it. The format of each model family adds to it.
import type { FinishReason, ToolCall, Usage } from "../domain/job.ts";

/** A JSON value from a model's server. */
export type Json = Record<string, unknown>;

/** What a native answer contains, in the terms of every other answer. */
export interface ExtractedAnswer {
  text: string;
  toolCalls: ToolCall[];
  finishReason: FinishReason;
  /** Absent if the answer does not report it. */
  usage?: Usage;
  serviceTier?: string;
}

/** Collects the content of an answer. Values of another type than expected count as absent. */
export class PartialAnswer {
  text = "";
  /** The model's own word for why it stopped. Set when the answer is complete. */
  stopReason: string | undefined;
  serviceTier: string | undefined;
  /** Whether Sluice knows the format of the answer. */
  isKnown = false;
  /** Output since the last call of `takeOutput`. */
  #newOutput = "";
  readonly #usage: Partial<Usage> = {};
  readonly #tools = new Map<unknown, ToolCall>();

  addText(text: unknown): void {
    if (typeof text !== "string") return;
    this.text += text;
    this.#newOutput += text;
  }

  addReasoning(text: unknown): void {
    if (typeof text === "string") this.#newOutput += text;
  }

  /** Adds a tool call. Later arguments name the call by `key`. */
  addTool(key: unknown, id: unknown, name: unknown): void {
    this.#tools.set(key, { id: textOf(id), name: textOf(name), arguments: "" });
  }

  addArguments(key: unknown, text: unknown): void {
    const tool = this.#tools.get(key);
    if (!tool || typeof text !== "string") return;
    tool.arguments += text;
    this.#newOutput += text;
  }

  hasTool(key: unknown): boolean {
    return this.#tools.has(key);
  }

  stop(reason: unknown): void {
    if (typeof reason === "string") this.stopReason = reason;
  }

  /** Sets counts of tokens. Later counts replace earlier ones; a value that is no count changes nothing. */
  count(counts: { [Name in keyof Usage]?: unknown }): void {
    for (const [name, value] of Object.entries(counts)) {
      if (Number.isSafeInteger(value) && (value as number) >= 0) this.#usage[name as keyof Usage] = value as number;
    }
  }

  /** Sets only the counts that are not set yet. */
  countIfAbsent(counts: { [Name in keyof Usage]?: unknown }): void {
    this.count({ ...counts, ...this.#usage });
  }

  /** Returns the output since the last call. */
  takeOutput(): string {
    const output = this.#newOutput;
    this.#newOutput = "";
    return output;
  }

  /** Returns the answer. Usage is absent unless both input and output are counted. */
  extracted(): ExtractedAnswer {
    const { input, output, ...rest } = this.#usage;
    return {
      text: this.text,
      toolCalls: [...this.#tools.values()],
      finishReason: finishReasonOf(this.stopReason),
      ...(input !== undefined && output !== undefined && { usage: { input, output, ...rest } }),
      ...(this.serviceTier !== undefined && { serviceTier: this.serviceTier }),
    };
  }
}

const finishReasons: Record<string, FinishReason> = {
  max_tokens: "length",
  length: "length",
  model_length: "length",
  model_context_window_exceeded: "length",
  tool_use: "tool_calls",
  tool_calls: "tool_calls",
  tool_call: "tool_calls",
  guardrail_intervened: "content_filter",
  content_filtered: "content_filter",
  content_filter: "content_filter",
  refusal: "content_filter",
  error_toxic: "content_filter",
};

/** Converts a model's own word for why it stopped. An unknown word also ends a complete answer. */
function finishReasonOf(stopReason = ""): FinishReason {
  const word = stopReason.toLowerCase();
  return Object.hasOwn(finishReasons, word) ? finishReasons[word]! : "stop";
}

/** Returns whether a JSON value is an object. */
export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Returns the object, or an empty one for any other value. */
export function objectOf(value: unknown): Json {
  return isObject(value) ? value : {};
}

/** Returns the objects of a list, or an empty list for any other value. */
export function objectsOf(value: unknown): Json[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
