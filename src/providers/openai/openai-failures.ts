// Converts a server's error (a status, a body in one of many shapes, headers) to a ProviderFailure. Pure. A code
// decides first, then known wordings (see wordings.ts), then the status.
import { type Classification, endSentence, permanent, refused, unclear, unknownEnd } from "../classification.ts";
import type { ProviderFailure } from "../provider.ts";
import { redact } from "../redact.ts";
import { adviceOnKey as keyAdvice, knownCause, adviceOnModel as modelAdvice, type Wording } from "../wordings.ts";
import { isObject } from "./openai-answer.ts";
import { type Headers, retryAfter, throttleKind, waitAfterThrottle } from "./rate-limit-headers.ts";

/** The server that the messages are about. */
export interface Server {
  /** Host and port, as in the base URL. */
  host: string;
  modelId: string;
  maxTokensField: "max_tokens" | "max_completion_tokens";
  /** Environment variable with the key, if there is one. */
  apiKeyEnv?: string;
  /** The key itself, which must never appear in a message. */
  apiKey?: string;
  /** Alias to name when the server does not have the model. */
  alternative?: string;
}

/** An error from the server, as an HTTP response or within a stream. */
export interface ServerError {
  /** HTTP status. Absent if the error came in a stream that does not report one. */
  status?: number;
  message: string;
  type: string;
  code: string;
  param: string;
  headers: Headers;
}

/**
 * Reads the body of an error. Knows OpenAI's `{"error": {...}}`, the same without a wrapper (older vLLM), and
 * `{"error": "text"}`. Also knows `{"detail": ...}` (FastAPI), `{"message": "text"}` (AWS), one of these in a list
 * (Gemini), and a short plain text. Anything else has no message. A gateway's error may contain that of the server
 * behind it (OpenRouter).
 * @param status status of the response. Default: the error's own, if it is a number
 */
export function readError(body: unknown, status: number | undefined, headers: Headers): ServerError {
  const first = Array.isArray(body) ? body[0] : body;
  const outer = isObject(first) ? first : {};
  const error = isObject(outer.error) ? outer.error : outer;
  const plain = typeof body === "string" && body.length <= longestPlainText ? body : "";
  const detail = typeof outer.detail === "string" ? outer.detail : outer.detail && written(outer.detail);
  const own = Number(error.code ?? error.status);
  const message = (text(outer.error) || text(error.message) || text(detail) || plain).trim();
  const behind = messageBehind(error.metadata);
  return {
    ...(status !== undefined ? { status } : own >= 400 && own < 600 ? { status: own } : {}),
    message: behind === "" ? message : `${endSentence(message)} ${behind}`,
    type: text(error.type),
    code: text(error.code),
    param: text(error.param),
    headers,
  };
}

/** Longest plain text that counts as a message, in characters. A longer one is a page. */
const longestPlainText = 500;

function text(value: unknown): string {
  return typeof value === "string" ? value : typeof value === "number" ? `${value}` : "";
}

/** Returns the message of the server behind a gateway, which is JSON in a text, or plain text. */
function messageBehind(metadata: unknown): string {
  const raw = isObject(metadata) ? metadata.raw : undefined;
  if (typeof raw !== "string") return isObject(raw) ? readError(raw, undefined, {}).message : "";
  try {
    const { message } = readError(JSON.parse(raw), undefined, {});
    if (message !== "") return message;
  } catch {
    // Plain text.
  }
  return raw.slice(0, longestPlainText).trim();
}

/** Prints a value as JSON. An error may be nested too deeply to be printed, and then has no message. */
function written(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch {
    return "";
  }
}

/**
 * Classifies an error.
 * @param begun whether part of an answer was received, so that something may have been billed whatever the error
 * @param wall time of day, in milliseconds since the epoch
 */
export function classify(error: ServerError, server: Server, begun: boolean, wall: number): ProviderFailure {
  const status = error.status ?? statusByType(error);
  const { words, advice, retryAfterMs, throttle, ...classification } = classifyError(
    { ...error, status },
    server,
    wall,
  );
  const shown = words ?? (hideKey(redact(hideKey(error.message, server)), server) || withoutMessage(error.status));
  const wait = retryAfterMs ?? retryAfter(error.headers, wall);
  return {
    ...classification,
    ...(classification.kind === "unclear"
      ? { message: shown, ...(advice && { advice }) }
      : { message: advice ? `${endSentence(shown)} ${advice}` : shown }),
    ...(throttle && { throttle }),
    ...(wait !== undefined && { retryAfterMs: wait }),
    maybeBilled: classification.maybeBilled || begun,
  };
}

function classifyError(error: ServerError, server: Server, wall: number): Classification {
  const { status, message, code, type, param } = error;
  const is = (pattern: RegExp) => pattern.test(code) || pattern.test(type);
  if (is(/^(insufficient_quota|billing_\w+|insufficient_balance)$/)) return misconfigured(adviceOnBilling(server));
  if (is(/^(content_filter|content_policy_violation|moderation_blocked)$/)) return permanent("content_filtered");
  if (is(/^model_not_found$/)) return misconfigured(adviceOnModel(server));
  if (is(/^invalid_api_key$/)) return misconfigured(adviceOnKey(server));
  if (status === 400 || status === 422) {
    const other = server.maxTokensField === "max_tokens" ? "max_completion_tokens" : "max_tokens";
    const isUnsupported =
      code === "unsupported_parameter" || /unsupported|not supported|unrecognized|extra/i.test(message);
    if (isUnsupported && (param === server.maxTokensField || mentions(message, server.maxTokensField))) {
      return misconfigured(`Set maxTokensField: ${other} for the deployment.`);
    }
  }
  if (/(stream(ing)? is not|(doesn.t|does not|not) support(ed)?( for)? stream)/i.test(message) && status === 400) {
    return misconfigured("Set streaming: false for the deployment.");
  }
  const known = knownCause(`${code}\n${type}\n${message}`, status);
  return known ? classifyByWords(known, error, server, wall) : classifyByStatus(error, server, wall);
}

function classifyByWords(
  { cause, advice }: Pick<Wording, "cause" | "advice">,
  error: ServerError,
  server: Server,
  wall: number,
): Classification {
  switch (cause) {
    case "too_long":
      return permanent("context_exceeded");
    case "content":
      return permanent("content_filtered");
    case "request":
      return permanent("provider_rejected");
    case "account":
      if (advice === modelAdvice) return misconfigured(adviceOnModel(server));
      if (advice === keyAdvice) return misconfigured(adviceOnKey(server));
      return misconfigured(advice ?? adviceOnAccess(error.status, server));
    case "capacity":
      return refused("capacity");
    case "throttled":
      return classifyThrottle(error, wall);
    case "unclear":
      return unclear(adviceOnAccess(error.status, server));
  }
}

function classifyByStatus(error: ServerError, server: Server, wall: number): Classification {
  const { status, message } = error;
  switch (status) {
    case 402:
      return misconfigured(adviceOnBilling(server));
    case 401:
    case 403:
    case 404:
      return unclear(adviceOnAccess(status, server));
    case 405:
      return unclear("Check baseUrl, which usually ends in /v1.");
    case 408:
    case 504:
      return unknownEnd();
    case 429:
      return classifyThrottle(error, wall);
    case 502:
    case 503:
    case 529:
      return refused("capacity");
    default:
      if (status === undefined) return unknownEnd();
      if (status >= 300 && status < 400) {
        return unclear(
          "Correct baseUrl. Sluice does not follow redirects, because they would send the key to another server.",
        );
      }
      if (/requires more system memory/i.test(message))
        return misconfigured("Use a smaller model, or free memory there.");
      return status >= 500 ? refused("transient") : permanent("provider_rejected");
  }
}

function mentions(message: string, field: string): boolean {
  return new RegExp(`\\b${field}\\b`).test(message);
}

function classifyThrottle({ message, type, headers }: ServerError, wall: number): Classification {
  // A single request above the whole limit: no wait would help.
  if (/request too large/i.test(message)) return permanent("provider_rejected");
  if (/overloaded|concurren/i.test(message)) return refused("capacity");
  const throttle = throttleKind(message, type, headers);
  const retryAfterMs = waitAfterThrottle(message, throttle, headers, wall);
  return { ...refused("throttled"), throttle, ...(retryAfterMs !== undefined && { retryAfterMs }) };
}

/** Returns a status for errors within a stream, which have none of their own. */
function statusByType({ type, code }: ServerError): number | undefined {
  const named = (pattern: RegExp) => pattern.test(type) || pattern.test(code);
  if (named(/rate_limit|^tokens$|^requests$|insufficient_quota|throttl/i)) return 429;
  if (named(/overloaded|unavailable/i)) return 503;
  if (named(/invalid_request|bad_?request|validation/i)) return 400;
  if (named(/authentication/i)) return 401;
  if (named(/permission/i)) return 403;
  return named(/server_error|internal/i) ? 500 : undefined;
}

// ---------------------------------------------------------------- advice

function adviceOnBilling({ host }: Server): string {
  return `The account at ${host} has no credit left or has reached its spending limit. Check its billing.`;
}

/** Returns advice for a refusal with this status, whatever its wording, if the deployment is at fault. */
function adviceOnAccess(status: number | undefined, server: Server): string {
  return status === 404
    ? `Check baseUrl, which usually ends in /v1, and the deployment's modelId, ${server.modelId}.`
    : `${server.host} does not allow the call. ${adviceOnKey(server)}`;
}

function adviceOnModel({ host, modelId, alternative }: Server): string {
  const instead = alternative === undefined ? "" : ` Or use the model "${alternative}" instead: name it in the job.`;
  return `Check the deployment's modelId, ${modelId}, and that ${host} has the model (for Ollama: ollama pull ${modelId}).${instead}`;
}

function adviceOnKey({ host, apiKeyEnv }: Server): string {
  return apiKeyEnv === undefined
    ? `If ${host} requires a key, set the deployment's apiKeyEnv to the environment variable that holds it.`
    : `Check the key in ${apiKeyEnv}, and that it may use the model.`;
}

function misconfigured(advice: string): Classification {
  return { ...refused("misconfigured"), advice };
}

// ---------------------------------------------------------------- words

/**
 * Minimum length of a key that is hidden, in characters. Shorter ones are placeholders, such as "ollama" or "EMPTY",
 * and ordinary words too.
 */
const shortestSecret = 12;

function hideKey(message: string, { apiKey }: Pick<Server, "apiKey">): string {
  return apiKey === undefined || apiKey.length < shortestSecret ? message : message.replaceAll(apiKey, "***");
}

function withoutMessage(status: number | undefined): string {
  return status === undefined
    ? "The server sent an error without a message."
    : `The server answered HTTP ${status} without a message.`;
}
