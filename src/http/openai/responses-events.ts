// A response as a stream of events: that it was created, the text as it comes, calls of functions, and the whole of it.
import type { SluiceError } from "../../domain/errors.ts";
import type { Job, JobRecord } from "../../domain/job.ts";
import { openAiId } from "./chat-response.ts";
import { openAiStatusOf } from "./errors.ts";
import { messageOf, partOf, type ResponseObject, responseOf } from "./responses-response.ts";

interface ResponseEvent {
  type: string;
  /** From 0. */
  sequence_number: number;
}

export class ResponseEvents {
  readonly #job: Job;
  #number = 0;
  #text = "";
  #begun = false;

  constructor(job: Job) {
    this.#job = job;
  }

  text(text: string): ResponseEvent[] {
    const begin = this.#begin();
    const before = this.#text === "" ? this.#beginMessage() : [];
    this.#text += text;
    return [
      ...begin,
      ...before,
      this.#event("response.output_text.delta", { ...this.#part, delta: text, logprobs: [] }),
    ];
  }

  /** What is left once the whole text was sent. */
  end(record: JobRecord): ResponseEvent[] {
    const response = responseOf(record);
    const events = this.#begin();
    for (const [output_index, item] of response.output.entries()) {
      if (item.type === "message") {
        if (this.#text === "") events.push(...this.#beginMessage());
        events.push(
          this.#event("response.output_text.done", { ...this.#part, text: this.#text, logprobs: [] }),
          this.#event("response.content_part.done", { ...this.#part, part: partOf(this.#text) }),
        );
      } else {
        const { id: item_id, name, arguments: args } = item;
        const open = { ...item, arguments: "", status: "in_progress" };
        events.push(
          this.#event("response.output_item.added", { output_index, item: open }),
          this.#event("response.function_call_arguments.delta", { output_index, item_id, delta: args }),
          this.#event("response.function_call_arguments.done", { output_index, item_id, name, arguments: args }),
        );
      }
      events.push(this.#event("response.output_item.done", { output_index, item }));
    }
    const type = response.status === "incomplete" ? "response.incomplete" : "response.completed";
    return [...events, this.#event(type, { response })];
  }

  fail({ code, message }: SluiceError): ResponseEvent[] {
    const status = openAiStatusOf(code);
    const error = { code: status < 500 ? "invalid_prompt" : "server_error", message: `${code}: ${message}` };
    const response = { ...this.#open("in_progress"), status: "failed", error };
    return [...this.#begin(), this.#event("response.failed", { response })];
  }

  get #part() {
    return { item_id: openAiId("msg", this.#job.id), output_index: 0, content_index: 0 };
  }

  #begin(): ResponseEvent[] {
    if (this.#begun) return [];
    this.#begun = true;
    return [
      this.#event("response.created", { response: this.#open("queued") }),
      this.#event("response.in_progress", { response: this.#open("in_progress") }),
    ];
  }

  #beginMessage(): ResponseEvent[] {
    return [
      this.#event("response.output_item.added", { output_index: 0, item: messageOf(this.#job.id, undefined) }),
      this.#event("response.content_part.added", { ...this.#part, part: partOf("") }),
    ];
  }

  #open(state: "queued" | "in_progress"): ResponseObject {
    return responseOf({ job: this.#job, state, attempts: [] });
  }

  #event(type: string, fields: object): ResponseEvent {
    return { type, sequence_number: this.#number++, ...fields };
  }
}
