// Bounds what a provider returns. Both adapters count what they receive with `AnswerSize`. Every answer and failure
// passes `withinBounds` before anything uses it, so usage, waits, ids and messages of any form become usable.
import type { Logger } from "pino";
import { isEmbedding } from "../domain/embedding-request.ts";
import type { ToolCall, Usage } from "../domain/job.ts";
import type { JobRequest, Reasoning } from "../domain/request.ts";
import { type Provider, type ProviderAnswer, ProviderError, type ProviderFailure } from "./provider.ts";

/**
 * Maximum size of an answer: its text, reasoning and tool calls as JSON, in bytes of UTF-8. Even stored twice in one
 * MongoDB document, it fits into that document's maximum of 16 MB.
 */
const maxTextBytes = 4 * 1024 * 1024;
/** Maximum number of tool calls in one answer. */
const maxToolCalls = 1_024;
/** Longest id of a tool call, in characters: as long as callers may send back. */
const maxToolCallIdLength = 16_384;
/** Longest name of a tool that an answer calls, in characters. */
const maxToolNameLength = 1_024;
const maxIdLength = 200;
const maxTierLength = 50;
const maxMessageLength = 2_000;

/** Longest wait that a provider can ask for, in milliseconds, when it names a quota per day. */
const longestDailyWaitMs = 60 * 60_000;
/** Longest wait that a provider can ask for otherwise, in milliseconds. */
const longestWaitMs = 5 * 60_000;
/** Shortest wait, in milliseconds. A shorter one would let a refused call repeat without a pause. */
const shortestWaitMs = 100;

/** Counts what an adapter has received of one answer. Framing does not count. */
export class AnswerSize {
  readonly #maxBytes: number;
  #characters = 0;
  #toolCalls = 0;
  #reasoning = 0;

  /** @param maxBytes maximum size, in bytes. Default: that of an answer that is not native */
  constructor(maxBytes = maxTextBytes) {
    this.#maxBytes = maxBytes;
  }

  /** Counts received text. @throws ProviderError if the answer is too large */
  add(text: string): void {
    this.#characters += text.length;
    if (this.#characters > this.#maxBytes) throw tooLarge(this.#maxBytes);
  }

  /** Counts a tool call. @throws ProviderError if the answer has too many tool calls */
  addToolCall(): void {
    this.#toolCalls += 1;
    if (this.#toolCalls > maxToolCalls) throw tooLarge();
  }

  /** Counts a piece of reasoning. @throws ProviderError if the answer has too many pieces */
  addReasoning(): void {
    this.#reasoning += 1;
    if (this.#reasoning > maxToolCalls) throw tooLarge();
  }
}

/**
 * Creates the failure for an answer that is too large. It is permanent, because another call would most likely cost as
 * much for nothing.
 */
export function tooLarge(maxBytes = maxTextBytes): ProviderError {
  const message = `The answer is larger than ${maxBytes} bytes or has more than ${maxToolCalls} tool calls.`;
  return new ProviderError({ kind: "permanent", code: "answer_too_large", message, maybeBilled: true });
}

/** Creates the failure for a response that is not an answer. It may have been billed, and another call may answer. */
function malformed(message: string): ProviderError {
  return new ProviderError({ kind: "transient", code: "malformed_output", message, maybeBilled: true });
}

function malformedCall({ toolCalls }: ProviderAnswer): ProviderError | undefined {
  for (const { id, name } of toolCalls) {
    if (name === "") return malformed("The answer calls a tool without a name.");
    if (name.length > maxToolNameLength)
      return malformed(
        `The answer calls a tool whose name has ${name.length} characters; at most ${maxToolNameLength} are allowed.`,
      );
    if (id === "") return malformed("The answer calls a tool without an id.");
    if (id.length > maxToolCallIdLength)
      return malformed(
        `The id of a tool call has ${id.length} characters; at most ${maxToolCallIdLength} are allowed.`,
      );
  }
  return undefined;
}

/** Whether an error is the failure of an answer that is too large. */
export function isTooLarge(error: unknown): boolean {
  return error instanceof ProviderError && error.failure.code === "answer_too_large";
}

/** Options of `withinBounds`: what the bounds of a deployment depend on, and how corrections are logged. */
export interface BoundsOptions {
  /** Id of the deployment. */
  deployment: string;
  /** Longest input and output of the model together, in tokens. */
  contextTokens: number;
  /** Returns the maximum size of a native answer; see `ProviderCall`. */
  maxAnswerBytes: () => number;
  log: Pick<Logger, "warn">;
}

/** Wraps a provider so that its answers and failures keep the bounds. Logs the raw value of what it corrects. */
export function withinBounds(provider: Provider, options: BoundsOptions): Provider {
  return {
    async call(call) {
      const check = new Check(options, call.request);
      const maxAnswerBytes = options.maxAnswerBytes();
      let answer: ProviderAnswer;
      try {
        answer = await provider.call({ ...call, maxAnswerBytes });
      } catch (error) {
        throw error instanceof ProviderError ? new ProviderError(check.failure(error.failure)) : error;
      }
      const bounded = check.answer(answer);
      const problem = problemOf(bounded, maxAnswerBytes);
      if (problem) {
        const {
          text: _,
          toolCalls: _calls,
          reasoning: _thoughts,
          native: _native,
          vectors: _vectors,
          finishReason: _reason,
          firstTokenMs: _ms,
          ...about
        } = bounded;
        throw new ProviderError({ ...problem.failure, ...about });
      }
      return bounded;
    },
    close: () => provider.close(),
  };
}

/** Returns what makes an answer unusable. A native answer is what its caller asked for, whatever it contains. */
function problemOf(answer: ProviderAnswer, maxAnswerBytes: number): ProviderError | undefined {
  if (!isSmall(answer)) return tooLarge();
  if (!answer.native) return malformedCall(answer);
  const { body = "", events = "" } = answer.native;
  const isLarge = Buffer.byteLength(body) + Buffer.byteLength(events) > maxAnswerBytes;
  return isLarge ? tooLarge(maxAnswerBytes) : undefined;
}

class Check {
  readonly #options: BoundsOptions;
  /** No call can use more tokens of one kind. */
  readonly #maxTokens: number;

  constructor(options: BoundsOptions, request: JobRequest) {
    const texts = isEmbedding(request) ? request.embeddings.texts : 1;
    this.#options = options;
    this.#maxTokens = options.contextTokens * texts + request.parameters.maxTokens;
  }

  answer(answer: ProviderAnswer): ProviderAnswer {
    const { firstTokenMs, ...rest } = answer;
    return {
      ...this.#about(rest),
      text: wellFormed(rest.text),
      toolCalls: rest.toolCalls.map(wellFormedCall),
      ...(rest.reasoning && { reasoning: rest.reasoning.map(wellFormedReasoning) }),
      ...(isNumber(firstTokenMs) && { firstTokenMs: Math.max(0, firstTokenMs) }),
    };
  }

  failure(failure: ProviderFailure): ProviderFailure {
    const { retryAfterMs, ...rest } = failure;
    // The adapters drop a wait of 0 that a provider asks for, so a 0 here is their own.
    const wait =
      retryAfterMs === undefined || retryAfterMs === 0 ? retryAfterMs : boundedWait(retryAfterMs, failure.throttle);
    return {
      ...this.#about(rest),
      message: wellFormed(cut(failure.message, maxMessageLength)),
      ...(wait !== undefined && { retryAfterMs: wait }),
    };
  }

  #about<T extends Pick<ProviderFailure, "usage" | "quotaUsage" | "requestId" | "serviceTier">>(reported: T): T {
    const { usage, quotaUsage, requestId, serviceTier, ...rest } = reported;
    const bounded = usage && boundedUsage(usage, this.#maxTokens);
    if (usage && !sameUsage(usage, bounded)) {
      const { deployment, log } = this.#options;
      log.warn(
        { deployment, reported: usage, used: bounded, requestId },
        "corrected the usage that a provider reported",
      );
    }
    const counted = quotaUsage && boundedUsage(quotaUsage, this.#maxTokens);
    const id = printable(requestId, maxIdLength);
    const tier = printable(serviceTier, maxTierLength);
    return {
      ...(rest as unknown as T),
      ...(bounded && { usage: bounded }),
      ...(counted && { quotaUsage: counted }),
      ...(id && { requestId: id }),
      ...(tier && { serviceTier: tier }),
    };
  }
}

/**
 * Returns the usage in whole tokens from 0 to `maxTokens`, with fractions rounded up. A number that is negative or not
 * finite counts as not reported. Returns undefined if that applies to input or output, because the usage is unknown
 * then.
 */
function boundedUsage(usage: Usage, maxTokens: number): Usage | undefined {
  if (!isCount(usage.input) || !isCount(usage.output)) return undefined;
  const whole = (tokens: number) => Math.min(maxTokens, Math.ceil(tokens));
  const part = <Name extends keyof Usage>(name: Name, most = maxTokens) => {
    const tokens = usage[name];
    return isCount(tokens) ? { [name]: Math.min(most, whole(tokens)) } : {};
  };
  const output = whole(usage.output);
  const cacheWrite = part("cacheWrite");
  return {
    input: whole(usage.input),
    output,
    ...part("cacheRead"),
    ...cacheWrite,
    ...part("cacheWriteHour", cacheWrite.cacheWrite ?? 0),
    ...part("reasoning", output),
  };
}

function sameUsage(a: Usage, b: Usage | undefined): boolean {
  const names = Object.keys(a) as (keyof Usage)[];
  return b !== undefined && names.every((name) => a[name] === b[name]);
}

/**
 * Returns the wait in milliseconds, within bounds. Returns undefined for 0, which says nothing, and for what is no
 * time.
 * @param throttle quota that the provider names
 */
function boundedWait(ms: number, throttle?: ProviderFailure["throttle"]): number | undefined {
  if (!(ms > 0)) return undefined;
  const longest = throttle === "tokens_per_day" ? longestDailyWaitMs : longestWaitMs;
  return Math.min(longest, Math.max(shortestWaitMs, Math.ceil(ms)));
}

/** Repairs halves of surrogate pairs. Callers send tool calls back, and a request with half of a pair is refused. */
function wellFormedCall({ id, name, arguments: text }: ToolCall): ToolCall {
  const whole = wellFormed(text);
  return {
    id: wellFormed(id),
    name: wellFormed(name),
    arguments: /\\u[dD]/.test(whole)
      ? whole.replace(escapes, (found) => (halfEscape.test(found) ? "\\ufffd" : found))
      : whole,
  };
}

/** Replaces halves of surrogate pairs with U+FFFD. */
function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, "\ufffd");
}

/** Repairs halves of surrogate pairs, because callers send reasoning back too. */
function wellFormedReasoning({ text, signature, redacted }: Reasoning): Reasoning {
  return {
    text: wellFormed(text),
    ...(signature !== undefined && { signature: wellFormed(signature) }),
    ...(redacted !== undefined && { redacted: wellFormed(redacted) }),
  };
}

const halfEscape = /^\\u[dD][89a-fA-F][0-9a-fA-F]{2}$/;
/** Matches the escapes of a JSON text one by one. A surrogate pair is one match. */
const escapes = /\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\\./g;

/** JSON encodes a character in at most six bytes. */
const mostBytesPerCharacter = 6;

function isSmall({ text, toolCalls, reasoning = [] }: ProviderAnswer): boolean {
  const hasOnlyText = toolCalls.length === 0 && reasoning.length === 0;
  if (hasOnlyText && text.length * mostBytesPerCharacter <= maxTextBytes) return true;
  try {
    return Buffer.byteLength(JSON.stringify([text, toolCalls, reasoning])) <= maxTextBytes;
  } catch {
    // Nested deeper than JSON can be printed.
    return false;
  }
}

function isNumber(value: number | undefined): value is number {
  return Number.isFinite(value);
}

function isCount(value: number | undefined): value is number {
  return isNumber(value) && value >= 0;
}

function cut(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}

/** Returns the printable ASCII characters of a text, up to a length. */
function printable(text: unknown, length: number): string | undefined {
  return typeof text === "string" ? text.replace(/[^\x20-\x7e]+/g, "").slice(0, length) : undefined;
}
