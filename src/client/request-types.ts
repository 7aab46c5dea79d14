// The type of a stored request, with the names of the HTTP API.
import type { Block, JobRequest, Message, Priority } from "./client-types.ts";
import type { NativeRequest } from "./native-types.ts";

/** What a job asks the model, with the fields of `JobRequest`. Null: not set. */
export interface SubmittedRequest {
  job_id: string;
  /** True if the texts were erased. Then `messages` is empty. */
  erased: boolean;
  environment: string;
  model: string;
  priority: Priority;
  system: string | null;
  messages: { role: Message["role"]; content: Block[] }[];
  /** Set if the request has Bedrock's own format. */
  native:
    | (Required<Pick<NativeRequest, "operation" | "body" | "stream">> & { headers: Record<string, string> | null })
    | null;
  tools: NonNullable<JobRequest["tools"]> | null;
  tool_choice: NonNullable<JobRequest["tool_choice"]> | null;
  response_format: NonNullable<JobRequest["response_format"]> | null;
  max_tokens: number;
  temperature: number | null;
  top_p: number | null;
  top_k: number | null;
  stop: string[] | null;
  seed: number | null;
  frequency_penalty: number | null;
  presence_penalty: number | null;
  reasoning_effort: string | null;
  service_tier: string | null;
  guardrail: { id: string; version: string } | null;
  regions: string[] | null;
  fallback_models: string[];
}
