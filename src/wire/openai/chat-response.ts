// A job as a chat completion, whole or in chunks. The types are those of OpenAI's own client (a test holds them to it).
import type { FinishReason, JobHead, JobRecord, ToolCall, Usage } from "../../domain/job.ts";

/** A job without what was asked: its answer says nothing of that. */
type Answered = Pick<JobRecord, "attempts" | "outcome"> & { job: JobHead };

/** Ids of OpenAI's objects that stand for a job: the prefix says what, the rest is the job's UUID. */
export function openAiId(prefix: "chatcmpl" | "resp" | "msg", jobId: string): string {
  return `${prefix === "chatcmpl" ? "chatcmpl-" : `${prefix}_`}${jobId.replaceAll("-", "")}`;
}

/** What was used, in OpenAI's terms: what a cache served is part of the prompt. */
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

/** What all chunks of one answer, and the answer as a whole, have in common. */
export function chatHead({ job, outcome }: Omit<Answered, "attempts">) {
  return {
    id: openAiId("chatcmpl", job.id),
    created: Math.floor(job.submittedAt / 1000),
    /** Who answered: another than was asked for if a fallback did. */
    model: outcome?.model ?? job.model,
    system_fingerprint: null,
  };
}

/** The answer of a completed job. */
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

/** The tier that the provider says it used, where OpenAI has a word for it. */
export function serviceTierOf({
  attempts,
  outcome,
}: Pick<JobRecord, "attempts" | "outcome">): "default" | "flex" | "priority" | undefined {
  const tier = attempts.find(({ n }) => n === outcome?.attempt)?.end?.serviceTier;
  return tier === "default" || tier === "flex" || tier === "priority" ? tier : undefined;
}
