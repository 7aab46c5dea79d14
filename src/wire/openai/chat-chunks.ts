// Converts a job to the chunks of a streamed chat completion: role, text, function calls, finish reason and usage.
import type { Job, JobRecord } from "../../domain/job.ts";
import { chatHead, chatToolCall, chatUsage, finishReasonOf, serviceTierOf } from "./chat-response.ts";
import { chatReasoning } from "./openai-reasoning.ts";

export class ChatChunks {
  readonly #includeUsage: boolean;
  readonly #head: ReturnType<typeof chatHead>;
  #begun = false;

  constructor(job: Job, includeUsage: boolean) {
    this.#head = chatHead({ job });
    this.#includeUsage = includeUsage;
  }

  text(text: string): object[] {
    return [...this.#role(), this.#chunk({ content: text })];
  }

  /** Returns the remaining chunks after the whole text was sent. */
  end(record: JobRecord): object[] {
    const { outcome } = record;
    // Earlier chunks could only name the requested model.
    if (outcome?.model) this.#head.model = outcome.model;
    const tier = serviceTierOf(record);
    const calls = (outcome?.toolCalls ?? []).map((call, index) => ({ index, ...chatToolCall(call) }));
    // If an answer has only calls, OpenAI reports at once that it has no text.
    const reasoning = chatReasoning(outcome?.reasoning);
    const isCallsAlone = calls.length > 0 && (outcome?.text ?? "") === "";
    return [
      ...this.#role(isCallsAlone ? null : ""),
      // The provider's stream has it first, but only text is passed on as it arrives.
      ...("reasoning_details" in reasoning ? [this.#chunk(reasoning)] : []),
      ...calls.map((call) => this.#chunk({ tool_calls: [call] })),
      this.#chunk({}, { finish_reason: finishReasonOf(outcome?.finishReason) }, tier && { service_tier: tier }),
      ...(this.#includeUsage ? [this.#usage(record)] : []),
    ];
  }

  #role(content: "" | null = ""): object[] {
    if (this.#begun) return [];
    this.#begun = true;
    return [this.#chunk({ role: "assistant", content, refusal: null })];
  }

  #chunk(delta: object, more: object = { finish_reason: null }, fields: object = {}): object {
    return {
      ...this.#head,
      object: "chat.completion.chunk",
      choices: [{ index: 0, delta, logprobs: null, ...more }],
      ...fields,
      ...(this.#includeUsage && { usage: null }),
    };
  }

  #usage({ outcome }: JobRecord): object {
    const usage = outcome?.usage ? chatUsage(outcome.usage) : null;
    return { ...this.#head, object: "chat.completion.chunk", choices: [], usage };
  }
}
