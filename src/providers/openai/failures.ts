// What a server's error means: from a status, an error in one of many shapes, and headers to a ProviderFailure. Pure.
// A code decides before a status and a status before a message, because wordings vary by server.
import type { ErrorCode } from "../../domain/errors.ts";
import type { FailureKind, ProviderFailure, ThrottleKind } from "../provider.ts";
import { redact } from "../redact.ts";
import { isObject } from "./answer.ts";
import { type Headers, retryAfter, throttleKind, waitAfterThrottle } from "./rate-limits.ts";

/** Whom the sentences are about. */
export interface Server {
  /** Host and port, as in the base URL. */
  host: string;
  modelId: string;
  maxTokensField: "max_tokens" | "max_completion_tokens";
  /** The environment variable with the key, if there is one. */
  apiKeyEnv?: string;
  /** Never to be seen in a message. */
  apiKey?: string;
  /** An alias to name when the server does not have the model. */
  alternative?: string;
}

/** An error that the server answered, as HTTP or within a stream. */
export interface ServerError {
  /** Of HTTP; absent if the error came in a stream that does not say. */
  status?: number;
  message: string;
  type: string;
  code: string;
  param: string;
  headers: Headers;
}

/**
 * Reads the body of an error: OpenAI's `{"error": {...}}`, the same without a shell (older vLLM), `{"error": "text"}`,
 * `{"detail": ...}` (FastAPI) or `{"message": "text"}` (AWS); anything else is no message.
 * @param status of the response; without one the error's own, if it is a number
 */
export function readError(body: unknown, status: number | undefined, headers: Headers): ServerError {
  const outer = isObject(body) ? body : {};
  const error = isObject(outer.error) ? outer.error : outer;
  const text = (value: unknown) => (typeof value === "string" ? value : typeof value === "number" ? `${value}` : "");
  const detail = typeof outer.detail === "string" ? outer.detail : outer.detail && JSON.stringify(outer.detail);
  const own = Number(error.code ?? error.status);
  return {
    ...(status !== undefined ? { status } : own >= 400 && own < 600 ? { status: own } : {}),
    message: (text(outer.error) || text(error.message) || text(detail)).trim(),
    type: text(error.type),
    code: text(error.code),
    param: text(error.param),
    headers,
  };
}

interface Verdict {
  kind: FailureKind;
  code: ErrorCode;
  throttle?: ThrottleKind;
  maybeBilled: boolean;
  retryAfterMs?: number;
  /** In place of the server's own words. */
  words?: string;
  /** What to do, after the words. */
  advice?: string;
}

/**
 * @param begun whether part of an answer had been received, so that something may have been billed whatever the error
 * @param wall the time of day
 */
export function classify(error: ServerError, server: Server, begun: boolean, wall: number): ProviderFailure {
  const status = error.status ?? statusByType(error);
  const { words, advice, retryAfterMs, throttle, ...verdict } = judge({ ...error, status }, server, wall);
  const said = words ?? (hideKey(redact(hideKey(error.message, server)), server) || noWords(error.status));
  const wait = retryAfterMs ?? retryAfter(error.headers, wall);
  return {
    ...verdict,
    message: advice ? `${endSentence(said)} ${advice}` : said,
    ...(throttle && { throttle }),
    ...(wait !== undefined && { retryAfterMs: wait }),
    maybeBilled: verdict.maybeBilled || begun,
  };
}

function judge(error: ServerError, server: Server, wall: number): Verdict {
  const { status, message, code, type } = error;
  const is = (pattern: RegExp) => pattern.test(code) || pattern.test(type);
  if (is(/^(insufficient_quota|billing_\w+|insufficient_balance)$/) || status === 402) {
    return misconfigured(
      `The account at ${server.host} has no credit left or is not allowed to spend more: see to its billing.`,
    );
  }
  if (is(/^(content_filter|content_policy_violation|moderation_blocked)$/)) return permanent("content_filtered");
  if (is(/^model_not_found$/)) return misconfigured(adviceOnModel(server));
  if (is(/^invalid_api_key$/)) return misconfigured(adviceOnKey(server));
  switch (status) {
    case 400:
    case 422:
      return judgeRequest(error, server);
    case 401:
      return misconfigured(adviceOnKey(server), `${server.host} refused the call: HTTP 401.`);
    case 403:
      if (/moderation|flagged/i.test(message)) return permanent("content_filtered");
      return misconfigured(`${server.host} does not allow the call. ${adviceOnKey(server)}`);
    case 404:
      return /model/i.test(message)
        ? misconfigured(adviceOnModel(server))
        : misconfigured(`Check baseUrl, which usually ends in /v1, and the deployment's modelId, ${server.modelId}.`);
    case 405:
      return misconfigured("Check baseUrl, which usually ends in /v1.");
    case 408:
    case 504:
      return unknownEnd();
    case 413:
      return tooLong.test(message) ? permanent("context_exceeded") : permanent("provider_rejected");
    case 429:
      return judgeThrottle(error, wall);
    case 502:
    case 503:
    case 529:
      return refused("capacity");
    default:
      if (status === undefined) return unknownEnd();
      if (status >= 300 && status < 400) {
        return misconfigured(
          "Redirects are not followed, because they would carry the key elsewhere: correct baseUrl.",
        );
      }
      if (/requires more system memory/i.test(message))
        return misconfigured("Use a smaller model, or free memory there.");
      // llama.cpp and others answer so what OpenAI answers with 400.
      if (tooLong.test(message)) return permanent("context_exceeded");
      return status >= 500 ? refused("transient") : permanent("provider_rejected");
  }
}

const tooLong =
  /maximum context length|context (window|size|length)|(input|prompt) is too long|too many input tokens|context_length/i;

/** Refusals of the request itself are final; those of how the server is called are the configuration's. */
function judgeRequest({ message, code, param, type }: ServerError, server: Server): Verdict {
  if (code === "context_length_exceeded" || /exceed_context/.test(type) || tooLong.test(message)) {
    return permanent("context_exceeded");
  }
  const other = server.maxTokensField === "max_tokens" ? "max_completion_tokens" : "max_tokens";
  const isUnsupported =
    code === "unsupported_parameter" || /unsupported|not supported|unrecognized|extra/i.test(message);
  if (isUnsupported && (param === server.maxTokensField || mentions(message, server.maxTokensField))) {
    return misconfigured(`Set maxTokensField: ${other} for the deployment.`);
  }
  if (/(stream(ing)? is not|(doesn.t|does not|not) support(ed)?( for)? stream)/i.test(message)) {
    return misconfigured("Set streaming: false for the deployment.");
  }
  if (/model .*(not found|does not exist)/i.test(message)) return misconfigured(adviceOnModel(server));
  return permanent("provider_rejected");
}

function mentions(message: string, field: string): boolean {
  return new RegExp(`\\b${field}\\b`).test(message);
}

function judgeThrottle({ message, type, headers }: ServerError, wall: number): Verdict {
  // A single request above the whole limit: no waiting would help it.
  if (/request too large/i.test(message)) return permanent("provider_rejected");
  if (/overloaded|concurren/i.test(message)) return refused("capacity");
  const throttle = throttleKind(message, type, headers);
  const retryAfterMs = waitAfterThrottle(message, throttle, headers, wall);
  return { ...refused("throttled"), throttle, ...(retryAfterMs !== undefined && { retryAfterMs }) };
}

/** For errors within a stream, which have no status of their own. */
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

function adviceOnModel({ host, modelId, alternative }: Server): string {
  const instead = alternative === undefined ? "" : ` Or use the model "${alternative}" instead: name it in the job.`;
  return `Check the deployment's modelId, ${modelId}: ${host} must have it (for Ollama: ollama pull ${modelId}).${instead}`;
}

function adviceOnKey({ host, apiKeyEnv }: Server): string {
  return apiKeyEnv === undefined
    ? `If ${host} wants a key, set the deployment's apiKeyEnv to the environment variable that holds it.`
    : `Check the key in ${apiKeyEnv}, and that it may use the model.`;
}

// ---------------------------------------------------------------- verdicts

/** Nothing was generated. */
function refused(kind: FailureKind): Verdict {
  return { kind, code: "model_unavailable", maybeBilled: false };
}

function misconfigured(advice: string, words?: string): Verdict {
  return { ...refused("misconfigured"), advice, ...(words !== undefined && { words }) };
}

function permanent(code: ErrorCode): Verdict {
  return { kind: "permanent", code, maybeBilled: false };
}

function unknownEnd(): Verdict {
  return { kind: "transient", code: "unknown_end", maybeBilled: true };
}

// ---------------------------------------------------------------- words

/** Shorter ones are place holders, such as "ollama" or "EMPTY", and ordinary words besides. */
const shortestSecret = 12;

function hideKey(message: string, { apiKey }: Pick<Server, "apiKey">): string {
  return apiKey === undefined || apiKey.length < shortestSecret ? message : message.replaceAll(apiKey, "***");
}

function noWords(status: number | undefined): string {
  return status === undefined
    ? "The server sent an error without a message."
    : `The server answered HTTP ${status} without a message.`;
}

function endSentence(text: string): string {
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}
