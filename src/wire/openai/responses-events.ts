// Converts a response to a stream of events: its creation, the text, function calls, and the whole response.
//
// An event's number tells what its reader already has, so any process can continue after it from the job's record alone.
// Numbers increase, but not always by one:
//
//   0  response.created          2  the message is added       3 + n  text, n UTF-16 units of it so far
//   1  response.in_progress      3  its part is added          then one number for each event after the text
//
// From 2 on, these are the numbers of the first attempt. Each further attempt has its own range. A response that has not
// completed ends with the last number of its last attempt.
import type { SluiceError } from "../../domain/errors.ts";
import type { Job, JobRecord } from "../../domain/job.ts";
import { type TextPosition, textStart } from "../../jobs/read/text-position.ts";
import { openAiId } from "./chat-response.ts";
import { openAiErrorOf, openAiStatusOf } from "./openai-errors.ts";
import { messageOf, partOf, type ResponseObject, responseOf } from "./responses-response.ts";

type ReasoningItem = Extract<ResponseObject["output"][number], { type: "reasoning" }>;

interface ResponseEvent {
  type: string;
  sequence_number: number;
}

/** The size of each attempt's range of numbers, larger than any text. */
const numbersOfAttempt = 1e9;
/** The number of the last event before the first piece of text. */
const beforeText = 3;

/** Returns the first number of an attempt's range. */
function firstOf(attempt: number): number {
  return Math.max(0, attempt - 1) * numbersOfAttempt;
}

/** Returns the attempt whose range contains the number. */
export function attemptOf(number: number): number {
  return Math.floor(number / numbersOfAttempt) + 1;
}

/** Returns the reader's position in the text after the event with this number. */
export function positionAfter(number: number): TextPosition {
  const chars = Math.max(0, (number % numbersOfAttempt) - beforeText);
  return chars === 0 ? textStart : { attempt: attemptOf(number), next: 0, chars };
}

/**
 * Returns items in the order in which a stream has them. The text is sent as it arrives, before it is known whether the
 * provider shows reasoning. So the reasoning follows the text.
 */
function inOrderOfStream(output: ResponseObject["output"]): ResponseObject["output"] {
  const isMessage = ({ type }: { type: string }) => type === "message";
  return [...output.filter(isMessage), ...output.filter((item) => !isMessage(item))];
}

/** Returns the events of reasoning, except the one that ends its item. */
function reasoningEvents(item: ReasoningItem, output_index: number): [type: string, fields: object][] {
  const added: [string, object] = [
    "response.output_item.added",
    { output_index, item: { ...item, summary: [], status: "in_progress" } },
  ];
  const parts = item.summary.flatMap((part, summary_index): [string, object][] => {
    const place = { item_id: item.id, output_index, summary_index };
    return [
      ["response.reasoning_summary_part.added", { ...place, part: { ...part, text: "" } }],
      ["response.reasoning_summary_text.delta", { ...place, delta: part.text }],
      ["response.reasoning_summary_text.done", { ...place, text: part.text }],
      ["response.reasoning_summary_part.done", { ...place, part }],
    ];
  });
  return [added, ...parts];
}

export class ResponseEvents {
  readonly #job: Job;
  readonly #after: number;
  #number = -1;
  #begun: "not" | "created" | "in_progress" = "not";
  /** The attempt whose text was sent. Absent before the first text. */
  #attempt: number | undefined;

  /**
   * Starts the events of a job.
   * @param after number of the last event that the reader has; only later events are returned. Default: none
   */
  constructor(job: Job, after = -1) {
    this.#job = job;
    this.#after = after;
  }

  created(): ResponseEvent[] {
    if (this.#begun !== "not") return [];
    this.#begun = "created";
    return this.#events(0, ["response.created", { response: this.#open("queued") }]);
  }

  inProgress(): ResponseEvent[] {
    const created = this.created();
    if (this.#begun === "in_progress") return created;
    this.#begun = "in_progress";
    return [...created, ...this.#events(1, ["response.in_progress", { response: this.#open("in_progress") }])];
  }

  /**
   * Returns the events for a piece of text.
   * @param position position after this text
   */
  text(text: string, { attempt, chars }: TextPosition): ResponseEvent[] {
    return [
      ...this.inProgress(),
      ...this.#message(attempt),
      ...this.#events(firstOf(attempt) + beforeText + chars, [
        "response.output_text.delta",
        { ...this.#part, delta: text, logprobs: [] },
      ]),
    ];
  }

  /** Returns the remaining events of a completed response after its whole text was sent. */
  end(record: JobRecord, { attempt }: Pick<TextPosition, "attempt">): ResponseEvent[] {
    const response = responseOf(record);
    const text = record.outcome?.text ?? "";
    const tail: [type: string, fields: object][] = [];
    let message: ResponseEvent[] = [];
    for (const [output_index, item] of inOrderOfStream(response.output).entries()) {
      if (item.type === "reasoning") {
        tail.push(...reasoningEvents(item, output_index));
      } else if (item.type === "message") {
        message = this.#message(attempt);
        tail.push(
          ["response.output_text.done", { ...this.#part, text, logprobs: [] }],
          ["response.content_part.done", { ...this.#part, part: partOf(text) }],
        );
      } else {
        const { id: item_id, name, arguments: args } = item;
        const open = { ...item, arguments: "", status: "in_progress" };
        tail.push(
          ["response.output_item.added", { output_index, item: open }],
          ["response.function_call_arguments.delta", { output_index, item_id, delta: args }],
          ["response.function_call_arguments.done", { output_index, item_id, name, arguments: args }],
        );
      }
      tail.push(["response.output_item.done", { output_index, item }]);
    }
    tail.push([response.status === "incomplete" ? "response.incomplete" : "response.completed", { response }]);
    const next = firstOf(attempt) + beforeText + text.length + 1;
    return [...this.inProgress(), ...message, ...this.#events(next, ...tail)];
  }

  /** Returns the last events of a response that failed, expired or was cancelled. */
  endWithout(record: JobRecord): ResponseEvent[] {
    const last = firstOf((record.attempts.at(-1)?.n ?? 1) + 1) - 1;
    return [...this.created(), ...this.#events(last, ["response.failed", { response: responseOf(record) }])];
  }

  /** Returns the last event if a waiting caller gets no answer. */
  fail({ code, message }: SluiceError): ResponseEvent[] {
    const status = openAiStatusOf(code);
    const error = { code: status < 500 ? "invalid_prompt" : "server_error", message: `${code}: ${message}` };
    const response = { ...this.#open("in_progress"), status: "failed", error };
    return [...this.inProgress(), ...this.#events(this.#next, ["response.failed", { response }])];
  }

  /**
   * Returns the event that ends a stream early although the response is intact. OpenAI's clients throw the content of
   * `error`.
   */
  breakOff(reason: SluiceError): ResponseEvent[] {
    const error = openAiErrorOf(reason);
    const { code, message, param } = error;
    return this.#events(this.#next, ["error", { code, message, param, error }]);
  }

  get #next(): number {
    return Math.max(this.#number, this.#after) + 1;
  }

  get #part() {
    return { item_id: openAiId("msg", this.#job.id), output_index: 0, content_index: 0 };
  }

  #message(attempt: number): ResponseEvent[] {
    if (this.#attempt === attempt) return [];
    this.#attempt = attempt;
    return this.#events(
      firstOf(attempt) + beforeText - 1,
      ["response.output_item.added", { output_index: 0, item: messageOf(this.#job.id, undefined) }],
      ["response.content_part.added", { ...this.#part, part: partOf("") }],
    );
  }

  #open(state: "queued" | "in_progress"): ResponseObject {
    return responseOf({ job: this.#job, state, attempts: [] });
  }

  /** Returns the events that the reader does not have yet. */
  #events(from: number, ...events: [type: string, fields: object][]): ResponseEvent[] {
    this.#number = from + events.length - 1;
    return events
      .map(([type, fields], i) => ({ type, sequence_number: from + i, ...fields }))
      .filter(({ sequence_number: number }) => number > this.#after);
  }
}
