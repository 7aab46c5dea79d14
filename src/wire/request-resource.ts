// Defines the resource of a job's request: what POST /v1/jobs takes, so that a caller can send it again.

import Type, { type Static } from "typebox";
import { isErased, type Job, priorities } from "../domain/job.ts";
import { JsonText } from "../domain/json-text.ts";
import { mediaTypeOf } from "../domain/media.ts";
import { type CachePoint, type ContentBlock, canonicalPart, type JsonSchema, resultText } from "../domain/request.ts";
import { reasoningFields } from "./job-content.ts";
import { nativeRequestResource, nativeRequestSchema } from "./native-resource.ts";
import { nullable } from "./resource-types.ts";

const ttl = Type.Optional(Type.Enum(["5m", "1h"]));
const block = Type.Union([
  Type.Object({ type: Type.Literal("text"), text: Type.String() }),
  Type.Object({ type: Type.Literal("tool_call"), id: Type.String(), name: Type.String(), arguments: Type.String() }),
  Type.Object({
    type: Type.Literal("tool_result"),
    call_id: Type.String(),
    text: Type.String(),
    is_error: Type.Optional(Type.Boolean()),
  }),
  Type.Object({ type: Type.Literal("cache_point"), ttl }),
  Type.Object({
    type: Type.Literal("image"),
    media_type: Type.String(),
    data: Type.String(),
    detail: Type.Optional(Type.String()),
  }),
  Type.Object({
    type: Type.Literal("document"),
    media_type: Type.String(),
    name: Type.String(),
    data: Type.String(),
  }),
  Type.Object({ type: Type.Literal("reasoning"), ...reasoningFields }),
]);
const anyObject = (description: string) => Type.Unsafe<object>({ type: "object", description });

/** The schema of a job's request. Fastify registers it under this `$id`. */
export const jobRequestSchema = Type.Object(
  {
    job_id: Type.String({ format: "uuid" }),
    erased: Type.Boolean({
      description:
        "True if the texts were erased, by retention or because the caller asked for it. Then only numbers and names remain.",
    }),
    environment: Type.String(),
    model: Type.String({ description: "The requested alias." }),
    priority: Type.Enum([...priorities]),
    system: nullable(Type.String({ description: "The system text, with that of system messages." })),
    messages: Type.Array(
      Type.Object({ role: Type.Enum(["system", "user", "assistant"]), content: Type.Array(block) }),
      { description: "The conversation. A system message here has only a cache point." },
    ),
    native: nullable(nativeRequestSchema),
    embeddings: nullable(
      Type.Object(
        { dimensions: nullable(Type.Integer()), input_type: nullable(Type.String()) },
        { description: "Set if the job makes embeddings. Then each text of the message is one to embed." },
      ),
    ),
    tools: nullable(
      Type.Array(
        Type.Object({
          name: Type.String(),
          description: Type.Optional(Type.String()),
          input_schema: anyObject("JSON Schema of the tool's input."),
        }),
      ),
    ),
    tool_choice: Type.Union([
      Type.Enum(["auto", "required", "none"]),
      Type.Object({ name: Type.String() }),
      Type.Null(),
    ]),
    response_format: nullable(anyObject("The format of the answer, as POST /v1/jobs takes it. Null: free text.")),
    max_tokens: Type.Integer(),
    temperature: nullable(Type.Number()),
    top_p: nullable(Type.Number()),
    top_k: nullable(Type.Integer()),
    stop: nullable(Type.Array(Type.String())),
    seed: nullable(Type.Integer()),
    frequency_penalty: nullable(Type.Number()),
    presence_penalty: nullable(Type.Number()),
    reasoning_effort: nullable(Type.String()),
    service_tier: nullable(Type.String()),
    guardrail: nullable(Type.Object({ id: Type.String(), version: Type.String() })),
    regions: nullable(Type.Array(Type.String())),
    fallback_models: Type.Array(Type.String()),
  },
  { $id: "JobRequest" },
);

type JobRequestResource = Static<typeof jobRequestSchema>;
type MessageResource = JobRequestResource["messages"][number];

/** Returns a job's request as the API shows it. Print it with `printJson`, which keeps schemas exact. */
export function jobRequestResource(job: Job): JobRequestResource {
  const request = canonicalPart(job.request);
  const { parameters, tools, responseFormat: format, systemCachePoint: cachePoint, embeddings } = request;
  const messages = request.messages.map(({ role, content }) => ({ role, content: content.map(blockOf) }));
  return {
    job_id: job.id,
    erased: isErased(job.request),
    environment: job.environment,
    model: job.model,
    priority: job.priority,
    system: request.system ?? null,
    messages: cachePoint ? [systemMark(cachePoint), ...messages] : messages,
    native: nativeRequestResource(job),
    embeddings: embeddings
      ? { dimensions: embeddings.dimensions ?? null, input_type: embeddings.inputType ?? null }
      : null,
    tools: tools?.map(({ inputSchema, ...named }) => ({ ...named, input_schema: shownSchema(inputSchema) })) ?? null,
    tool_choice: request.toolChoice ?? null,
    response_format:
      format?.type === "json_schema" ? { ...format, schema: shownSchema(format.schema) } : (format ?? null),
    max_tokens: parameters.maxTokens,
    temperature: parameters.temperature ?? null,
    top_p: parameters.topP ?? null,
    top_k: parameters.topK ?? null,
    stop: parameters.stop ?? null,
    seed: parameters.seed ?? null,
    frequency_penalty: parameters.frequencyPenalty ?? null,
    presence_penalty: parameters.presencePenalty ?? null,
    reasoning_effort: parameters.reasoningEffort ?? null,
    service_tier: request.serviceTier ?? null,
    guardrail: request.guardrail ?? null,
    regions: job.regions ?? null,
    fallback_models: job.fallbackModels,
  };
}

/** Returns the message with which a caller marks the end of the tools and the system text for the cache. */
function systemMark(cachePoint: CachePoint): MessageResource {
  return { role: "system", content: [{ type: "cache_point", ...cachePoint }] };
}

function blockOf(part: ContentBlock): MessageResource["content"][number] {
  switch (part.type) {
    case "text":
      return { type: "text", text: part.text };
    case "tool_call":
      return { type: "tool_call", id: part.id, name: part.name, arguments: part.arguments };
    case "tool_result":
      return {
        type: "tool_result",
        call_id: part.callId,
        text: resultText(part),
        ...(part.isError !== undefined && { is_error: part.isError }),
      };
    case "cache_point":
      return { type: "cache_point", ...part.cache };
    case "image":
      return {
        type: "image",
        media_type: mediaTypeOf(part),
        data: part.data,
        ...(part.detail !== undefined && { detail: part.detail }),
      };
    case "document":
      return { type: "document", media_type: mediaTypeOf(part), name: part.name, data: part.data };
    case "reasoning":
      return part;
  }
}

function shownSchema(schema: JsonSchema): object {
  return typeof schema === "string" ? new JsonText(schema) : schema;
}
