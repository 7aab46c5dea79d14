// Every way in which Bedrock refuses, over a real socket and through the real SDK: what the worker is told about each.
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Provider, ProviderFailure } from "../../src/providers/provider.ts";
import {
  ask,
  errorFrame,
  exception,
  type FakeBedrock,
  failureOf,
  type Handler,
  html,
  json,
  providerFor,
  start,
  startFakeBedrock,
  stream,
  text,
} from "./fake-bedrock.ts";

let fake: FakeBedrock;
let provider: Provider;
beforeAll(async () => {
  fake = await startFakeBedrock();
  provider = providerFor(fake.url, { alternative: "llama4-maverick" });
});
afterAll(async () => {
  await provider.close();
  await fake.close();
});

interface Row {
  of: string;
  answer: Handler;
  failure: Partial<ProviderFailure>;
  says?: RegExp;
}

/** As Bedrock does it: the type in a header, with a suffix that means nothing. */
function refusal(status: number, type: string, message: string, headers: Record<string, string> = {}): Handler {
  return json(status, { message }, { "x-amzn-errortype": `${type}:http://internal.amazon.com/coral/`, ...headers });
}

const throttled = (throttle: ProviderFailure["throttle"]) =>
  ({ kind: "throttled", throttle, maybeBilled: false, code: "model_unavailable" }) as const;
const capacity = { kind: "capacity", maybeBilled: false, code: "model_unavailable" } as const;
const misconfigured = { kind: "misconfigured", maybeBilled: false, code: "model_unavailable" } as const;
const rejected = { kind: "permanent", maybeBilled: false, code: "provider_rejected" } as const;
const tooLong = { kind: "permanent", maybeBilled: false, code: "context_exceeded" } as const;
const unknownEnd = { kind: "transient", maybeBilled: true, code: "unknown_end" } as const;

const invalid = (message: string) => refusal(400, "ValidationException", message);
const throttle = (message: string) => refusal(429, "ThrottlingException", message);

const rows: Row[] = [
  // Throttling: which quota.
  {
    of: "requests per minute",
    answer: throttle("Too many requests, please wait before trying again."),
    failure: throttled("requests"),
  },
  { of: "request rate", answer: throttle("Your request rate is too high."), failure: throttled("requests") },
  {
    of: "tokens per minute",
    answer: throttle("Too many tokens, please wait before trying again."),
    failure: throttled("tokens"),
  },
  {
    of: "tokens per day",
    answer: throttle("Too many tokens per day, please wait before trying again."),
    failure: throttled("tokens_per_day"),
  },
  { of: "a throttle of no known kind", answer: throttle("Rate exceeded"), failure: throttled("unknown") },
  { of: "429 without a type", answer: json(429, {}), failure: throttled("unknown"), says: /HTTP 429/ },
  {
    of: "throttled with Retry-After",
    answer: refusal(429, "ThrottlingException", "Too many requests", { "retry-after": "7" }),
    failure: { ...throttled("requests"), retryAfterMs: 7_000 },
  },
  {
    of: "service quota exceeded",
    answer: refusal(400, "ServiceQuotaExceededException", "You exceeded your quota."),
    failure: throttled("unknown"),
  },

  // Capacity: not our quota.
  {
    of: "429 of an overloaded model",
    answer: throttle("Model us.meta.llama3-3 is currently overloaded. Please try again later."),
    failure: capacity,
  },
  {
    of: "429 of a model that is loading",
    answer: refusal(429, "ModelNotReadyException", "The model is not ready, too many requests."),
    failure: capacity,
  },
  {
    of: "503",
    answer: refusal(503, "ServiceUnavailableException", "Too many connections, please wait before trying again."),
    failure: capacity,
    says: /Too many connections/,
  },
  {
    of: "503 unable to process",
    answer: refusal(503, "ServiceUnavailableException", "Bedrock is unable to process your request."),
    failure: capacity,
  },
  {
    of: "529 with another vendor's body",
    answer: json(
      529,
      { type: "error", error: { type: "overloaded_error", message: "Overloaded" } },
      { "retry-after": "3" },
    ),
    failure: { ...capacity, retryAfterMs: 3_000 },
    says: /HTTP 529/,
  },
  { of: "502 from a gateway", answer: json(502, {}), failure: capacity },
  { of: "502 in HTML", answer: html(502), failure: capacity, says: /HTML page.*proxy/ },
  { of: "200 in HTML", answer: html(200), failure: capacity, says: /HTML page.*proxy/ },

  // May pass if tried again.
  {
    of: "500",
    answer: refusal(500, "InternalServerException", "Internal error"),
    failure: { kind: "transient", maybeBilled: false },
  },
  { of: "504 from a gateway", answer: json(504, {}), failure: unknownEnd },
  {
    of: "408",
    answer: refusal(408, "ModelTimeoutException", "Model timed out"),
    failure: unknownEnd,
    says: /max_tokens/,
  },
  { of: "408 of the transport", answer: refusal(408, "RequestTimeout", "Slow"), failure: unknownEnd },
  { of: "424", answer: refusal(424, "ModelErrorException", "The model failed"), failure: unknownEnd },
  {
    of: "an unknown type with a server's status",
    answer: refusal(500, "BrandNewException", "What is this?"),
    failure: { kind: "transient", maybeBilled: false },
    says: /What is this/,
  },

  {
    of: "500 with a body that is not JSON",
    answer: (res) => res.writeHead(500, { "content-type": "application/json" }).end("<oops"),
    failure: { kind: "transient", maybeBilled: false },
    says: /HTTP 500 with a body that is not JSON/,
  },

  // The request can never succeed.
  {
    of: "alternating roles",
    answer: invalid("A conversation must alternate between user and assistant roles."),
    failure: rejected,
    says: /^A conversation must alternate/,
  },
  {
    of: "an extraneous key",
    answer: invalid("Malformed input request: extraneous key [x] is not permitted"),
    failure: rejected,
  },
  {
    of: "temperature that a model does not take",
    answer: invalid("`temperature` is deprecated for this model."),
    failure: rejected,
  },
  {
    of: "max_tokens above the model's",
    answer: invalid(
      "The maximum tokens you requested exceeds the model limit of 8192. Try again with a maximum tokens value that is lower than 8192.",
    ),
    failure: rejected,
    says: /8192.*maxOutputTokens/,
  },
  {
    of: "tools in a stream",
    answer: invalid("This model doesn't support tool use in streaming mode."),
    failure: rejected,
    says: /streamingTools: false/,
  },
  { of: "a prompt that is too long", answer: invalid("Input is too long for requested model."), failure: tooLong },
  {
    of: "a prompt that is too long, in numbers",
    answer: invalid("prompt is too long: 210000 tokens > 200000 maximum"),
    failure: tooLong,
  },
  {
    of: "a prompt that is too long, under another name",
    answer: refusal(424, "ModelStreamErrorException", "Input is too long for requested model."),
    failure: tooLong,
  },
  { of: "413", answer: refusal(413, "RequestEntityTooLarge", "Too large"), failure: rejected },
  { of: "a conflict", answer: refusal(400, "ConflictException", "Token reused"), failure: rejected },

  // The deployment cannot work.
  {
    of: "a model without on-demand throughput",
    answer: invalid(
      "Invocation of model ID meta.llama3-3 with on-demand throughput isn’t supported. Retry your request with the ID or ARN of an inference profile that contains this model.",
    ),
    failure: misconfigured,
    says: /inference profile, such as us\./,
  },
  {
    of: "an invalid model ID",
    answer: invalid("The provided model identifier is invalid."),
    failure: misconfigured,
    says: /modelId/,
  },
  {
    of: "a model that cannot stream",
    answer: invalid("The model is unsupported for streaming."),
    failure: misconfigured,
    says: /streaming: false/,
  },
  {
    of: "access denied",
    answer: refusal(403, "AccessDeniedException", "You don't have access to the model with the specified model ID."),
    failure: misconfigured,
    says: /don't have access.*bedrock:InvokeModel.*"llama4-maverick"/,
  },
  {
    of: "a Legacy model",
    answer: refusal(
      404,
      "ResourceNotFoundException",
      "Access denied. This Model is marked by provider as Legacy and you have not been actively using the model in the last 15 days. Please upgrade to an active model on Amazon Bedrock",
    ),
    failure: misconfigured,
    says: /marked by provider as Legacy.*being retired.*"llama4-maverick"/,
  },
  {
    of: "a model past its end of life",
    answer: refusal(404, "ResourceNotFoundException", "This model version has reached the end of its life."),
    failure: misconfigured,
    says: /end of its life.*"llama4-maverick"/,
  },
  {
    of: "an unknown model",
    answer: refusal(404, "ResourceNotFoundException", "Could not resolve the foundation model"),
    failure: misconfigured,
    says: /modelId.*us-east-1/,
  },
  {
    of: "expired credentials",
    answer: refusal(403, "ExpiredTokenException", "The security token included in the request is expired"),
    failure: misconfigured,
    says: /expired: renew/,
  },
  {
    of: "unknown credentials",
    answer: refusal(403, "UnrecognizedClientException", "The security token included in the request is invalid."),
    failure: misconfigured,
    says: /access key/,
  },
  {
    of: "a wrong signature",
    answer: refusal(
      403,
      "InvalidSignatureException",
      "The request signature we calculated does not match. The Canonical String should have been\n'POST\nx-amz-security-token:very-secret-token'",
    ),
    failure: misconfigured,
    says: /^AWS refused the signature: check the secret access key, and that this machine's clock is right\.$/,
  },
  {
    of: "an expired request",
    answer: refusal(400, "RequestExpired", "Request has expired."),
    failure: misconfigured,
    says: /clock/,
  },

  // Inside a stream, under HTTP 200: first frame, and after some text.
  {
    of: "a throttle as the first frame",
    answer: stream([exception("throttlingException", "Too many tokens, please wait before trying again.")]),
    failure: throttled("tokens"),
  },
  {
    of: "a throttle in the stream",
    answer: stream([start, text("Hel"), exception("throttlingException", "Too many requests")]),
    failure: { ...throttled("requests"), maybeBilled: true },
  },
  {
    of: "no capacity in the stream",
    answer: stream([start, exception("serviceUnavailableException", "Later")]),
    failure: { ...capacity, maybeBilled: true },
  },
  {
    of: "an internal error in the stream",
    answer: stream([start, exception("internalServerException", "Oops")]),
    failure: { kind: "transient", maybeBilled: true },
    says: /Oops/,
  },
  {
    of: "a model's error in the stream",
    answer: stream([start, exception("modelStreamErrorException", "The model broke")]),
    failure: unknownEnd,
  },
  {
    of: "a model's time limit in the stream",
    answer: stream([start, exception("modelTimeoutException", "Too slow")]),
    failure: unknownEnd,
  },
  {
    of: "a refusal in the stream",
    answer: stream([start, exception("validationException", "The stream is not for you")]),
    failure: { ...rejected, maybeBilled: true },
  },
  {
    of: "an unmodelled error in the stream",
    answer: stream([start, errorFrame("InternalFailure", "Something happened")]),
    failure: { kind: "transient", maybeBilled: true },
    says: /Something happened/,
  },
];

test.each(rows)("$of", async ({ answer, failure, says }) => {
  fake.respond(answer);
  const before = fake.requests.length;
  const seen = await failureOf(ask(provider));
  expect(seen).toMatchObject(failure);
  if (says) expect(seen.message).toMatch(says);
  expect(seen.message).not.toBe("");
  expect(fake.requests.length - before, "requests made").toBe(1);
});

test("the refusal's request id is kept", async () => {
  fake.respond(throttle("Too many requests"));
  expect(await failureOf(ask(provider))).toMatchObject({ requestId: "r-1" });
});

test("a message is cut to a bounded length and its secrets are blotted out", async () => {
  fake.respond(
    invalid(
      `Authorization: AWS4-HMAC-SHA256 Credential=AKIAEXAMPLEEXAMPLE12/x, Signature=abcdef0123 Bearer abcdefghijkl ${"x".repeat(1e6)}`,
    ),
  );
  const { message } = await failureOf(ask(provider));
  expect(message.length).toBeLessThanOrEqual(1_100);
  expect(message).not.toMatch(/EXAMPLE12|abcdef/);
});
