// How OpenAI reports its quotas: in headers of every answer, and in refusals.
import type { ExceededQuota, QuotaEngine } from "../quota-engine.ts";
import { OpenAiError } from "./openai-error-bodies.ts";

/** Returns `x-ratelimit-limit-requests` and so on, for the configured quotas. */
export function rateLimitHeaders(engine: QuotaEngine, now: number): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [unit, { limit, remaining, resetMs }] of Object.entries(engine.remaining(now))) {
    headers[`x-ratelimit-limit-${unit}`] = String(limit);
    headers[`x-ratelimit-remaining-${unit}`] = String(Math.floor(remaining));
    headers[`x-ratelimit-reset-${unit}`] = duration(resetMs);
  }
  return headers;
}

interface RefusedCall {
  modelId: string;
  input: number;
  maxTokens: number;
}

/** Returns the 429 that refuses a call, in OpenAI's words, and headers with the wait. */
export function rateLimited(
  quota: ExceededQuota,
  engine: QuotaEngine,
  call: RefusedCall,
  now: number,
): { error: OpenAiError; headers: Record<string, string> } {
  const unit = quota === "requests" ? "requests" : "tokens";
  const requested = quota === "requests" ? 1 : call.input + call.maxTokens;
  const waitMs = Math.ceil(engine.waitMs(now, call));
  const possible = Number.isFinite(waitMs);
  const { limit } = engine.remaining(now)[unit] ?? {};
  const message =
    `${possible ? "Rate limit reached" : "Request too large"} for ${call.modelId} in organization org-simulator on ${names[quota]}: ` +
    `${limit !== undefined && quota !== "tokens_per_day" ? `Limit ${limit}, ` : ""}Requested ${requested}.` +
    (possible ? ` Please try again in ${duration(waitMs)}.` : "");
  return {
    error: new OpenAiError(429, message, { type: unit, code: "rate_limit_exceeded" }),
    headers: {
      ...rateLimitHeaders(engine, now),
      ...(possible && { "retry-after": String(Math.ceil(waitMs / 1_000)), "retry-after-ms": String(waitMs) }),
    },
  };
}

const names: Record<ExceededQuota, string> = {
  requests: "requests per min (RPM)",
  tokens: "tokens per min (TPM)",
  tokens_per_day: "tokens per day (TPD)",
};

/** Formats a duration as OpenAI does: "20ms", "1.5s", "6m0s". */
function duration(ms: number): string {
  const whole = Math.ceil(ms);
  if (whole < 1_000) return `${whole}ms`;
  const seconds = (whole % 60_000) / 1_000;
  return whole < 60_000 ? `${seconds}s` : `${Math.floor(whole / 60_000)}m${seconds}s`;
}
