// Gives every error one shape, whether it comes from Sluice, Fastify or Node's HTTP parser.
import { maxHeaderSize, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type { ConnectionError, FastifyError, FastifyReply, FastifyRequest } from "fastify";
import Type from "typebox";
import { type ErrorCode, errorTable, SluiceError } from "../domain/errors.ts";
import { anthropicErrorOf, anthropicStatusOf, isAnthropicCall } from "../wire/anthropic/anthropic-errors.ts";
import { bedrockErrorOf, bedrockStatusOf, isBedrockPath } from "../wire/bedrock/bedrock-errors.ts";
import { isOpenAiPath, openAiErrorOf, openAiStatusOf } from "../wire/openai/openai-errors.ts";
import { http2StreamOf } from "./http2-streams.ts";

/** Retry-After of a 503 whose error names no time, in seconds. */
const defaultRetryAfterS = 5;

const errorBody = Type.Object({
  code: Type.Enum(Object.keys(errorTable) as ErrorCode[], { description: "A stable code from docs/errors.md." }),
  message: Type.String({ description: "A description of the error for people." }),
  field: Type.Optional(Type.String({ description: "The field that is at fault, as the caller wrote it." })),
  job_id: Type.Optional(Type.String({ description: "The job that the error is about." })),
  advice: Type.Optional(Type.String({ description: "What to do next." })),
  request_id: Type.Optional(Type.String({ description: "The id of the request in the service's log." })),
});

/** The schema of an error. Fastify registers it under this `$id`, and routes refer to it. */
export const errorSchema = Type.Object({ error: errorBody }, { $id: "Error", additionalProperties: false });

/** The schema of an error of `/enqueue`: the same with `success`, which its clients check. */
export const enqueueErrorSchema = Type.Object(
  { success: Type.Literal(false), error: errorBody },
  { $id: "EnqueueError", additionalProperties: false },
);

/** Returns the `response` entries of a route's schema for the errors that the route may return. */
export function errorResponses(
  codes: readonly ErrorCode[],
  schemaId: "Error" | "EnqueueError" | "OpenAIError" | "BedrockError" | "AnthropicError" = "Error",
) {
  const responses: Record<number, { description: string; $ref: string }> = {};
  for (const code of ["unauthenticated" as const, ...codes, "cross_origin" as const, "internal" as const]) {
    const { advice } = errorTable[code];
    const status = statusIn(schemaId, code);
    const before = responses[status] ? `${responses[status].description}\n\n` : "";
    responses[status] = { description: `${before}\`${code}\`: ${advice}`, $ref: `${schemaId}#` };
  }
  return responses;
}

function statusIn(schemaId: string, code: ErrorCode): number {
  if (schemaId === "OpenAIError") return openAiStatusOf(code);
  if (schemaId === "AnthropicError") return anthropicStatusOf(code);
  return schemaId === "BedrockError" ? bedrockStatusOf(code) : errorTable[code].status;
}

/** Error codes of every call that controls many jobs, in addition to its own. */
export const controlErrors: readonly ErrorCode[] = [
  ...(["invalid_request", "invalid_json", "unknown_environment", "forbidden", "too_large"] as const),
  ...(["unsupported_media_type", "unavailable", "fate_unknown", "storage_full"] as const),
];

export const jsonExpected = "The body must be JSON, with Content-Type: application/json.";

export const headersTooLarge = `The headers are larger than ${maxHeaderSize} bytes.`;

export const requestTooSlow = "The request did not arrive completely before the timeout.";

/** Sends an error in the shape of the called API. Fastify uses it as setErrorHandler and frameworkErrors. */
export function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const known = asSluiceError(error, request);
  // Fastify asks to close the connection of a request that is too large. HTTP/2 has no such header.
  if (http2StreamOf(request.raw)) reply.removeHeader("connection");
  // The client disconnected: log nothing.
  if (known.status >= 500 && known.code !== "paused" && !(known.code === "wait_timeout" && reply.raw.destroyed)) {
    const level = known.code === "internal" ? "error" : "warn";
    const { id, method } = request;
    const about = { err: error, requestId: id, method, route: request.routeOptions?.url };
    request.log[level]({ ...about, code: known.code, reason: known.message }, "failed to answer a request");
  }
  if (isBedrockPath(request.url)) {
    sendBedrockError(known, request, reply);
    return;
  }
  const { field, jobId, retryAfterS = known.status === 503 ? defaultRetryAfterS : undefined } = known.details;
  if (retryAfterS !== undefined) reply.header("retry-after", String(Math.ceil(retryAfterS)));
  // The clients of OpenAI and Anthropic would otherwise retry at once.
  if (known.status === 402 || known.status === 429 || known.status === 507) reply.header("x-should-retry", "false");
  if (known.status === 401) reply.header("www-authenticate", "Bearer");
  const isAnthropic = isAnthropicCall(request);
  if (isAnthropic || isOpenAiPath(request.url)) {
    reply.header(isAnthropic ? "request-id" : "x-request-id", request.id);
    if (jobId !== undefined) {
      // The job has used its attempts, and repeating the request would create another job.
      reply.headers({ "x-sluice-job-id": jobId, "x-should-retry": "false" });
    }
    if (!isAnthropic) {
      reply.code(openAiStatusOf(known.code)).send({ error: openAiErrorOf(known) });
      return;
    }
    // The routes of models have schemas of OpenAI's form only, which a text does not pass through.
    const text = JSON.stringify(anthropicErrorOf(known, request.id));
    reply.code(anthropicStatusOf(known.code)).type("application/json; charset=utf-8").send(text);
    return;
  }
  reply.code(known.status).send({
    ...(request.routeOptions?.url === "/enqueue" && { success: false }),
    error: {
      code: known.code,
      message: known.message,
      ...(field !== undefined && { field }),
      ...(jobId !== undefined && { job_id: jobId }),
      advice: errorTable[known.code].advice,
      request_id: request.id,
    },
  });
}

function sendBedrockError(error: SluiceError, request: FastifyRequest, reply: FastifyReply): void {
  const { name, status, message } = bedrockErrorOf(error);
  const { jobId, retryAfterS = defaultRetryAfterS } = error.details;
  reply.headers({ "x-amzn-requestid": request.id, "x-amzn-errortype": name });
  if (jobId !== undefined) reply.header("x-sluice-job-id", jobId);
  if (status === 503) reply.header("retry-after", String(Math.ceil(retryAfterS)));
  reply.code(status).send({ message });
}

export function notFound(request: FastifyRequest): SluiceError {
  return new SluiceError("not_found", `There is no route for ${request.method} ${request.url.slice(0, 200)}.`);
}

function asSluiceError(error: unknown, request: FastifyRequest): SluiceError {
  const { code = "", statusCode = 500, message } = error as Partial<FastifyError>;
  // The path does not exist, so an invalid body does not matter.
  if (request.is404 && (code === "invalid_json" || code.startsWith("FST_ERR_CTP_"))) return notFound(request);
  if (error instanceof SluiceError) return error;
  switch (code) {
    case "FST_ERR_CTP_BODY_TOO_LARGE": {
      const { bodyLimit } = request.routeOptions;
      const isWhole = bodyLimit === request.server.initialConfig.bodyLimit;
      const setting = isWhole
        ? "(limits.maxRequestBytes)."
        : "(limits.maxPromptBytes). POST /v1/jobs takes larger ones.";
      const text = `The body is larger than ${bodyLimit} bytes ${setting}`;
      return new SluiceError("too_large", text, { field: "body" });
    }
    case "FST_ERR_CTP_INVALID_MEDIA_TYPE":
      return new SluiceError("unsupported_media_type", jsonExpected);
    case "FST_ERR_CTP_EMPTY_JSON_BODY":
      return new SluiceError("invalid_json", "The body must be a JSON object; got an empty body.");
    case "FST_ERR_BAD_URL":
      return new SluiceError(
        "invalid_request",
        "The path is not valid: a % must be followed by two hexadecimal digits.",
      );
  }
  if (statusCode >= 400 && statusCode < 500) return new SluiceError("invalid_request", `${message}.`);
  return new SluiceError("internal", "The service failed to process the request.", {}, { cause: error });
}

/** Answers a request that Node could not parse. Fastify's clientErrorHandler calls it without a reply object. */
export function answerClientError(error: Pick<ConnectionError, "code">, socket: Socket): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const code = error.code === "ERR_HTTP_REQUEST_TIMEOUT" ? "request_timeout" : "invalid_request";
  const message =
    code === "request_timeout"
      ? requestTooSlow
      : error.code === "HPE_HEADER_OVERFLOW"
        ? headersTooLarge
        : "The request is not valid HTTP.";
  const { status, advice } = errorTable[code];
  const body = JSON.stringify({ error: { code, message, advice } });
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/json; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
