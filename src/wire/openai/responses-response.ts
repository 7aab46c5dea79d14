// Converts a job to a response of OpenAI's Responses API, from the job's record alone.
import { isUuid, type JobId } from "../../domain/ids.ts";
import type { JobRecord, Outcome, ToolCall, Usage } from "../../domain/job.ts";
import { type CanonicalRequest, canonicalPart } from "../../domain/request.ts";
import { printableSchema } from "../../domain/schema-text.ts";
import { chatUsage, openAiId, serviceTierOf } from "./chat-response.ts";
import { reasoningItems } from "./openai-reasoning.ts";

/** Returns the job of a response id, or undefined for an id that no response can have. */
export function jobOfResponse(id: string): JobId | undefined {
  const parts = /^resp_([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})$/.exec(id)?.slice(1);
  const jobId = parts?.join("-");
  return jobId !== undefined && isUuid(jobId) ? jobId : undefined;
}

export function responseOf(record: JobRecord) {
  const { job, outcome } = record;
  const request = canonicalPart(job.request);
  const { parameters } = request;
  return {
    id: openAiId("resp", job.id),
    object: "response" as const,
    created_at: Math.floor(job.submittedAt / 1000),
    completed_at: outcome?.status === "completed" ? Math.floor(outcome.at / 1000) : null,
    ...statusOf(record),
    instructions: request.system ?? null,
    max_output_tokens: parameters.maxTokens,
    metadata: job.metadata ?? {},
    /** The model that answered, which may be a fallback. */
    model: outcome?.model ?? job.model,
    output: outcome?.status === "completed" ? outputOf(job.id, outcome) : [],
    parallel_tool_calls: request.parallelToolCalls ?? true,
    previous_response_id: null,
    reasoning: { effort: parameters.reasoningEffort ?? null, summary: null },
    service_tier: serviceTierOf(record) ?? request.serviceTier ?? null,
    temperature: parameters.temperature ?? null,
    text: { format: formatOf(request) },
    tool_choice: toolChoiceOf(request),
    tools: (request.tools ?? []).map(toolOf),
    top_p: parameters.topP ?? null,
    truncation: "disabled" as const,
    ...(outcome?.usage && { usage: usageOf(outcome.usage) }),
  };
}

export type ResponseObject = ReturnType<typeof responseOf>;

function statusOf({ state, outcome }: JobRecord) {
  const nothing = { error: null, incomplete_details: null };
  switch (state) {
    case "completed":
      if (outcome?.finishReason === "length") return incomplete("max_output_tokens");
      if (outcome?.finishReason === "content_filter") return incomplete("content_filter");
      return { ...nothing, status: "completed" as const };
    case "failed":
    case "expired":
      return { ...nothing, status: "failed" as const, error: errorOf(outcome?.error) };
    default:
      return { ...nothing, status: state };
  }
}

function incomplete(reason: "max_output_tokens" | "content_filter") {
  return { status: "incomplete" as const, error: null, incomplete_details: { reason } };
}

/** Returns OpenAI's error object. Its list of codes is closed, so the message begins with Sluice's code. */
function errorOf({ code, message }: { code: string; message: string } = { code: "internal", message: "" }) {
  const invalid = code === "provider_rejected" || code === "context_exceeded" || code === "content_filtered";
  return { code: invalid ? ("invalid_prompt" as const) : ("server_error" as const), message: `${code}: ${message}` };
}

function outputOf(
  jobId: JobId,
  { text = "", toolCalls = [], reasoning }: Pick<Outcome, "text" | "toolCalls" | "reasoning">,
) {
  const message = text === "" && toolCalls.length > 0 ? [] : [messageOf(jobId, text)];
  return [...reasoningItems(jobId, reasoning), ...message, ...toolCalls.map(callItemOf)];
}

export function messageOf(jobId: JobId, text: string | undefined) {
  return {
    id: openAiId("msg", jobId),
    type: "message" as const,
    role: "assistant" as const,
    status: text === undefined ? ("in_progress" as const) : ("completed" as const),
    content: text === undefined ? [] : [partOf(text)],
  };
}

export function partOf(text: string) {
  return { type: "output_text" as const, text, annotations: [], logprobs: [] };
}

function callItemOf({ id, name, arguments: text }: ToolCall) {
  return {
    id: `fc_${id}`,
    type: "function_call" as const,
    call_id: id,
    name,
    arguments: text,
    status: "completed" as const,
  };
}

function usageOf(usage: Usage) {
  const chat = chatUsage(usage);
  return {
    input_tokens: chat.prompt_tokens,
    input_tokens_details: { ...chat.prompt_tokens_details, cache_write_tokens: usage.cacheWrite ?? 0 },
    output_tokens: chat.completion_tokens,
    output_tokens_details: { reasoning_tokens: usage.reasoning ?? 0 },
    total_tokens: chat.total_tokens,
  };
}

function formatOf({ responseFormat }: CanonicalRequest) {
  if (responseFormat?.type !== "json_schema") return { type: responseFormat?.type ?? ("text" as const) };
  const { type, name, schema, description, strict } = responseFormat;
  return {
    type,
    name,
    schema: printableSchema(schema) as Record<string, unknown>,
    ...(description !== undefined && { description }),
    ...(strict !== undefined && { strict }),
  };
}

function toolChoiceOf({ toolChoice }: CanonicalRequest) {
  if (typeof toolChoice === "object") return { type: "function" as const, name: toolChoice.name };
  return toolChoice ?? ("auto" as const);
}

function toolOf({ name, description, inputSchema }: NonNullable<CanonicalRequest["tools"]>[number]) {
  return {
    type: "function" as const,
    name,
    description: description ?? null,
    parameters: printableSchema(inputSchema) as Record<string, unknown>,
    strict: false,
  };
}
