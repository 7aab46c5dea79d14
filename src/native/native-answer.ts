// Reads what a native answer contains: its text, tool calls, usage and end. Reading never fails, because Sluice keeps
// the raw answer. An answer of an unknown format has no text.
import type { NativeCall } from "../domain/native-request.ts";
import { readClaude } from "./claude-form.ts";
import { converseEvents, readConverse, readConverseEvent } from "./converse-form.ts";
import { eventsOfLines } from "./event-lines.ts";
import { otherForms } from "./other-forms.ts";
import { type ExtractedAnswer, isObject, type Json, objectOf, PartialAnswer } from "./partial-answer.ts";

type Operation = NativeCall["operation"];

/** What one event adds to an answer. */
export interface NewOutput {
  text: string;
  /** Everything that the model generated: text, reasoning and the arguments of tools. */
  output: string;
}

/** Reads one answer. */
export class NativeAnswerReader {
  readonly #operation: Operation;
  readonly #answer = new PartialAnswer();
  #hasMetrics = false;

  constructor(operation: Operation) {
    this.#operation = operation;
  }

  /** Adds an event of a streamed answer. Returns what is new in it, or undefined if it is not part of an answer. */
  addEvent(type: string, payload: string): NewOutput | undefined {
    const isConverse = this.#operation === "converse";
    if (isConverse ? !converseEvents.has(type) : type !== "chunk") return undefined;
    const answer = this.#answer;
    const before = answer.text.length;
    if (isConverse) readConverseEvent(type, objectOf(parsed(payload)), answer);
    else this.#addChunk(decodedChunk(payload));
    return { text: answer.text.slice(before), output: answer.takeOutput() };
  }

  /** Adds the body of an answer that was not streamed. Returns whether it is JSON. */
  addBody(body: string): boolean {
    const json = parsed(body);
    if (this.#operation === "converse") readConverse(objectOf(json), body, this.#answer);
    else this.#addInvoked(objectOf(json), body);
    return json !== undefined;
  }

  /** Adds the headers, by lower-case names. Some models report usage only there. */
  addHeaders(headers: Readonly<Record<string, string>>): void {
    const count = (name: string) => {
      const value = headers[`x-amzn-bedrock-${name}-token-count`];
      return value === undefined || value.trim() === "" ? undefined : Number(value);
    };
    this.#answer.countIfAbsent({
      input: count("input"),
      output: count("output"),
      cacheRead: count("cache-read-input"),
      cacheWrite: count("cache-write-input"),
    });
    this.#answer.serviceTier ??= headers["x-amzn-bedrock-service-tier"];
  }

  /** Whether a stream that ends now is complete. Unknown formats have no end that could be missing. */
  get isComplete(): boolean {
    const { stopReason, isKnown } = this.#answer;
    return stopReason !== undefined || this.#hasMetrics || (this.#operation === "invoke" && !isKnown);
  }

  /** Whether the model has said why it stopped. Nothing that follows can make the answer incomplete. */
  get hasStopped(): boolean {
    return this.#answer.stopReason !== undefined || this.#hasMetrics;
  }

  extracted(): ExtractedAnswer {
    return this.#answer.extracted();
  }

  #addChunk(chunk: string): void {
    const json = objectOf(parsed(chunk));
    this.#addInvoked(json, chunk);
    const metrics = json["amazon-bedrock-invocationMetrics"];
    if (!isObject(metrics)) return;
    this.#hasMetrics = true;
    this.#answer.countIfAbsent({
      input: metrics.inputTokenCount,
      output: metrics.outputTokenCount,
      cacheRead: metrics.cacheReadInputTokenCount,
      cacheWrite: metrics.cacheWriteInputTokenCount,
    });
  }

  #addInvoked(json: Json, body: string): void {
    const answer = this.#answer;
    const isKnown =
      readClaude(json, body, answer) ||
      otherForms.some((read) => read(json, answer, body)) ||
      readNova(json, body, answer);
    answer.isKnown ||= isKnown;
  }
}

/** Reads Amazon Nova's own format: the objects of Converse, with the event's type as the key of a chunk. */
function readNova(json: Json, body: string, answer: PartialAnswer): boolean {
  if (isObject(json.output)) {
    readConverse(json, body, answer);
    return true;
  }
  const events = Object.entries(json).filter(([type]) => converseEvents.has(type));
  for (const [type, payload] of events) readConverseEvent(type, objectOf(payload), answer);
  return events.length > 0;
}

/** Returns the text in the event lines of a streamed answer, or of a part of one. */
export function textOfEvents(operation: Operation, lines: string): string {
  const reader = new NativeAnswerReader(operation);
  return eventsOfLines(lines)
    .map(([type, payload]) => reader.addEvent(type, payload)?.text ?? "")
    .join("");
}

/** Returns the JSON inside the payload of an invoked model's event. */
export function decodedChunk(payload: string): string {
  const { bytes } = objectOf(parsed(payload));
  return typeof bytes === "string" ? Buffer.from(bytes, "base64").toString() : "";
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
