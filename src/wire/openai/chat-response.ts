// Converts a job to a chat completion, whole or in chunks. A test holds the types to those of OpenAI's own client.
import type { FinishReason, JobHead, JobRecord, ToolCall, Usage } from "../../domain/job.ts";
import { chatReasoning } from "./openai-reasoning.ts";

/** A job whose request may be missing, because its answer does not repeat it. */
type Answered = Pick<JobRecord, "attempts" | "outcome"> & { job: JobHead };

/** Returns the id of an OpenAI object for a job: a prefix for its kind, then the job's UUID. */
export function openAiId(prefix: "chatcmpl" | "resp" | "msg", jobId: string): string {
  return `${prefix === "chatcmpl" ? "chatcmpl-" : `${prefix}_`}${jobId.replaceAll("-", "")}`;
}

/** Converts usage to OpenAI's fields, where cached tokens are part of the prompt. */
export function chatUsage({ input, output, cacheRead = 0, cacheWrite = 0, reasoning = 0 }: Usage) {
  const prompt = input + cacheRead + cacheWrite;
  return {
    prompt_tokens: prompt,
    completion_tokens: output,
    total_tokens: prompt + output,
    prompt_tokens_details: { cached_tokens: cacheRead },
    completion_tokens_details: { reasoning_tokens: reasoning },
  };
}

/** Returns the fields that all chunks of an answer and the whole answer share. */
export function chatHead({ job, outcome }: Omit<Answered, "attempts">) {
  return {
    id: openAiId("chatcmpl", job.id),
    created: Math.floor(job.submittedAt / 1000),
    /** The model that answered, which may be a fallback. */
    model: outcome?.model ?? job.model,
    system_fingerprint: null,
  };
}

/** Returns the chat completion of a completed job. */
export function chatCompletionOf(record: Answered) {
  const { outcome } = record;
  const toolCalls = outcome?.toolCalls ?? [];
  const text = outcome?.text ?? "";
  const tier = serviceTierOf(record);
  return {
    ...chatHead(record),
    object: "chat.completion" as const,
    choices: [
      {
        index: 0,
        message: {
          role: "assistant" as const,
          content: text === "" && toolCalls.length > 0 ? null : text,
          refusal: null,
          ...chatReasoning(outcome?.reasoning),
          ...(toolCalls.length > 0 && { tool_calls: toolCalls.map(chatToolCall) }),
        },
        logprobs: null,
        finish_reason: finishReasonOf(outcome?.finishReason),
      },
    ],
    ...(outcome?.usage && { usage: chatUsage(outcome.usage) }),
    ...(tier && { service_tier: tier }),
  };
}

export function chatToolCall({ id, name, arguments: text }: ToolCall) {
  return { id, type: "function" as const, function: { name, arguments: text } };
}

export function finishReasonOf(reason: FinishReason | undefined): FinishReason {
  return reason ?? "stop";
}

/** Returns the tier that the provider reports, if OpenAI has a name for it. */
export function serviceTierOf({
  attempts,
  outcome,
}: Pick<JobRecord, "attempts" | "outcome">): "default" | "flex" | "priority" | undefined {
  const tier = attempts.find(({ n }) => n === outcome?.attempt)?.end?.serviceTier;
  return tier === "default" || tier === "flex" || tier === "priority" ? tier : undefined;
}
