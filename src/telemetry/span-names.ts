// Names of spans and of their attributes. OpenTelemetry's conventions for generative AI still change, so all of their
// names are here. OTEL_SEMCONV_STABILITY_OPT_IN chooses between the names that most tools read and the latest ones.

/** Returns the name of the span in which a job or a batch is accepted. */
export const sendSpan = (environment: string) => `send ${environment}`;
/** Name of the span of the time before an attempt. */
export const queueSpan = "queue";
/** Returns the name of the span of a call. */
export const callSpan = (operation: "chat" | "embeddings", modelId: string) => `${operation} ${modelId}`;

/** Name of the event that has one reason of a wait. */
export const waitEvent = "waited";

/** Attributes of accepting and waiting. */
export const messaging = {
  system: "messaging.system",
  destination: "messaging.destination.name",
  operation: "messaging.operation.name",
  operationType: "messaging.operation.type",
  messageId: "messaging.message.id",
} as const;

/** Attributes of Sluice's own. */
export const sluice = {
  jobId: "sluice.job.id",
  batchId: "sluice.batch.id",
  retryOf: "sluice.job.retry_of",
  tenant: "sluice.tenant",
  environment: "sluice.environment",
  priority: "sluice.priority",
  model: "sluice.model",
  attempt: "sluice.attempt",
  deployment: "sluice.deployment",
  worker: "sluice.worker",
  result: "sluice.result",
  reservedTokens: "sluice.tokens.reserved",
  costUsd: "sluice.cost_usd",
  waitMs: "sluice.wait.ms",
  waitReason: "sluice.wait.reason",
  waitSubject: "sluice.wait.subject",
} as const;

/** Returns the name of the attribute with the milliseconds that a job waited for one kind of reason. */
export const waitedFor = (kind: string) => `sluice.wait.${kind}_ms`;

/** Attributes of a call, in one version of the conventions for generative AI. */
export type GenAiNames = Record<keyof typeof commonGenAi | "cacheWriteTokens" | "cacheReadTokens", string>;

const commonGenAi = {
  operation: "gen_ai.operation.name",
  provider: "gen_ai.provider.name",
  requestModel: "gen_ai.request.model",
  maxTokens: "gen_ai.request.max_tokens",
  temperature: "gen_ai.request.temperature",
  topP: "gen_ai.request.top_p",
  topK: "gen_ai.request.top_k",
  seed: "gen_ai.request.seed",
  frequencyPenalty: "gen_ai.request.frequency_penalty",
  presencePenalty: "gen_ai.request.presence_penalty",
  responseId: "gen_ai.response.id",
  finishReasons: "gen_ai.response.finish_reasons",
  timeToFirstChunk: "gen_ai.response.time_to_first_chunk",
  inputTokens: "gen_ai.usage.input_tokens",
  outputTokens: "gen_ai.usage.output_tokens",
  inputMessages: "gen_ai.input.messages",
  outputMessages: "gen_ai.output.messages",
  system: "gen_ai.system_instructions",
  requestId: "aws.request_id",
  guardrail: "aws.bedrock.guardrail.id",
  serverAddress: "server.address",
  serverPort: "server.port",
  errorType: "error.type",
} as const;

/** Names of version 1.37 to 1.41, which most tools read. */
const established: GenAiNames = {
  ...commonGenAi,
  cacheReadTokens: "gen_ai.usage.cache_read.input_tokens",
  cacheWriteTokens: "gen_ai.usage.cache_creation.input_tokens",
};

/** Names of November 2026. */
const latest: GenAiNames = { ...established, cacheWriteTokens: "gen_ai.usage.cache_write.input_tokens" };

/** Returns the names that OTEL_SEMCONV_STABILITY_OPT_IN asks for: the latest ones with `gen_ai_latest_experimental`. */
export function genAiNames(optIn: string | undefined): GenAiNames {
  const asked = (optIn ?? "").split(",").map((name) => name.trim());
  return asked.includes("gen_ai_latest_experimental") ? latest : established;
}
