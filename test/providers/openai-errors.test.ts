// All ways in which OpenAI-compatible servers refuse, over a real socket: the failure that the worker receives.
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Provider, ProviderFailure } from "../../src/providers/provider.ts";
import { ask, failureOf } from "./fake-bedrock.ts";
import { type FakeOpenAi, type Handler, json, key, openAiFor, plain, refusal, startFakeOpenAi } from "./fake-openai.ts";

const now = Date.parse("2026-11-27T12:00:00Z");

let fake: FakeOpenAi;
let provider: Provider;
let withoutKey: Provider;
beforeAll(async () => {
  fake = await startFakeOpenAi();
  const clock = { now: () => 0, wall: () => now };
  provider = openAiFor(fake.url, { alternative: "llama4", clock });
  withoutKey = openAiFor(fake.url, { apiKey: undefined, apiKeyEnv: undefined, clock });
});
afterAll(async () => {
  await provider.close();
  await withoutKey.close();
  await fake.close();
});

interface Row {
  of: string;
  answer: Handler;
  failure: Partial<ProviderFailure>;
  says?: RegExp;
}

const throttled = (throttle: ProviderFailure["throttle"], retryAfterMs?: number) =>
  ({
    kind: "throttled",
    throttle,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
    maybeBilled: false,
    code: "model_unavailable",
  }) as const;
const capacity = { kind: "capacity", maybeBilled: false, code: "model_unavailable" } as const;
const misconfigured = { kind: "misconfigured", maybeBilled: false, code: "model_unavailable" } as const;
const unclear = { kind: "unclear", maybeBilled: false, code: "provider_rejected" } as const;
const rejected = { kind: "permanent", maybeBilled: false, code: "provider_rejected" } as const;
const tooLong = { kind: "permanent", maybeBilled: false, code: "context_exceeded" } as const;
const filtered = { kind: "permanent", maybeBilled: false, code: "content_filtered" } as const;
const unknownEnd = { kind: "transient", maybeBilled: true, code: "unknown_end" } as const;

const limit = (message: string, type = "rate_limit_error", headers: Record<string, string> = {}) =>
  refusal(429, { message, type, code: "rate_limit_exceeded" }, headers);
const reset = (unit: string, time: string) => ({ [`x-ratelimit-reset-${unit}`]: time });
const tpm =
  "Rate limit reached for gpt-5 in organization org-x on tokens per min (TPM): Limit 30000, Used 29000, Requested 2000.";

const rows: Row[] = [
  // Throttling: which quota, and for how long.
  { of: "tokens per minute", answer: limit(tpm, "tokens"), failure: throttled("tokens"), says: /TPM/ },
  {
    of: "tokens per minute, with a time in words",
    answer: limit(`${tpm} Please try again in 1.5s. Visit the site.`, "tokens", reset("tokens", "6m0s")),
    failure: throttled("tokens", 1_500),
  },
  {
    of: "requests per minute",
    answer: limit("Rate limit reached on requests per min (RPM): Limit 3", "requests"),
    failure: throttled("requests"),
  },
  {
    of: "requests per day",
    answer: limit("Rate limit reached on requests per day (RPD): Limit 200. Please try again in 7m12s.", "requests"),
    failure: throttled("tokens_per_day", 432_000),
  },
  {
    of: "tokens per day",
    answer: limit("on tokens per day (TPD): Limit 5"),
    failure: throttled("tokens_per_day"),
  },
  { of: "Retry-After in seconds", answer: limit(tpm, "", { "retry-after": "7" }), failure: throttled("tokens", 7_000) },
  { of: "in fractions of them", answer: limit(tpm, "", { "retry-after": "0.25" }), failure: throttled("tokens", 250) },
  {
    of: "Retry-After, which goes before all else that is said",
    answer: limit(`${tpm} Please try again in 1.5s.`, "tokens", { "retry-after": "7", ...reset("tokens", "3s") }),
    failure: throttled("tokens", 7_000),
  },
  {
    of: "Retry-After as a date",
    answer: limit(tpm, "", { "retry-after": "Fri, 27 Nov 2026 12:00:30 GMT" }),
    failure: throttled("tokens", 30_000),
  },
  {
    of: "Retry-After as a date that has passed",
    answer: limit(tpm, "", { "retry-after": "Fri, 27 Nov 2026 11:00:30 GMT" }),
    failure: throttled("tokens"),
  },
  {
    of: "retry-after-ms, which is more exact",
    answer: limit(tpm, "", { "retry-after": "2", "retry-after-ms": "1234" }),
    failure: throttled("tokens", 1_234),
  },
  {
    of: "Retry-After that is nothing",
    answer: limit(tpm, "", { "retry-after": "soon" }),
    failure: throttled("tokens"),
  },
  {
    of: "Retry-After of a year",
    answer: limit(tpm, "", { "retry-after": "31536000" }),
    failure: throttled("tokens", 86_400_000),
  },
  { of: "reset in 1s", answer: limit(tpm, "", reset("tokens", "1s")), failure: throttled("tokens", 1_000) },
  { of: "reset in 6m0s", answer: limit(tpm, "", reset("tokens", "6m0s")), failure: throttled("tokens", 360_000) },
  { of: "reset in 20ms", answer: limit(tpm, "", reset("tokens", "20ms")), failure: throttled("tokens", 20) },
  {
    of: "reset in 1h2m3.5s",
    answer: limit(tpm, "", reset("tokens", "1h2m3.5s")),
    failure: throttled("tokens", 3_723_500),
  },
  {
    of: "reset at a time of day",
    answer: limit(tpm, "", reset("tokens", "2026-11-27T12:00:05Z")),
    failure: throttled("tokens", 5_000),
  },
  {
    of: "reset at a second since 1970",
    answer: limit(tpm, "", reset("tokens", `${now / 1_000 + 9}`)),
    failure: throttled("tokens", 9_000),
  },
  {
    of: "the other quota's reset",
    answer: limit(tpm, "", reset("requests", "20ms")),
    failure: throttled("tokens"),
  },
  {
    of: "nothing in words, but no requests remain",
    answer: limit("Slow down", "", {
      "x-ratelimit-remaining-requests": "0",
      "x-ratelimit-remaining-tokens": "500",
      ...reset("requests", "20s"),
      ...reset("tokens", "1ms"),
    }),
    failure: throttled("requests", 20_000),
  },
  {
    of: "Azure's words",
    answer: limit(
      "Requests have exceeded token rate limit of your pricing tier. Please retry after 6 seconds.",
      "",
      {},
    ),
    failure: throttled("tokens", 6_000),
  },
  {
    of: "Bedrock's words",
    answer: json(429, { message: "Too many requests, please wait before trying again." }),
    failure: throttled("requests"),
  },
  { of: "no kind", answer: limit("Slow down", "", reset("tokens", "9s")), failure: throttled("unknown", 9_000) },
  {
    of: "a gateway's 429 in HTML",
    answer: plain(429, "text/html", "<h1>Slow down</h1>", { "retry-after": "3" }),
    failure: throttled("unknown", 3_000),
    says: /HTTP 429/,
  },
  {
    of: "a request above the whole limit",
    answer: limit("Request too large for gpt-5 on tokens per min (TPM): Limit 30000, Requested 45000."),
    failure: rejected,
  },
  {
    of: "no credit left",
    answer: refusal(429, {
      message: "You exceeded your current quota.",
      code: "insufficient_quota",
      type: "insufficient_quota",
    }),
    failure: misconfigured,
    says: /billing/,
  },
  {
    of: "402",
    answer: json(402, { error: { message: "Insufficient Balance" } }),
    failure: misconfigured,
    says: /Insufficient Balance\. .*billing/,
  },

  // Capacity: not our quota.
  {
    of: "429 of an overloaded engine",
    answer: limit("The engine is currently overloaded, please try again later"),
    failure: capacity,
  },
  { of: "429 of too many at a time", answer: limit("Too many concurrent requests"), failure: capacity },
  {
    of: "503",
    answer: refusal(503, { message: "server busy, please try again." }, { "retry-after": "2" }),
    failure: { ...capacity, retryAfterMs: 2_000 },
    says: /server busy/,
  },
  {
    of: "529",
    answer: json(529, { type: "error", error: { type: "overloaded_error", message: "Overloaded" } }),
    failure: capacity,
  },
  {
    of: "502 in HTML",
    answer: plain(502, "text/html", "<h1>Bad gateway</h1>"),
    failure: capacity,
    says: /HTML page.*proxy/,
  },
  {
    of: "200 in HTML",
    answer: plain(200, "text/html; charset=utf-8", "<h1>Sign in</h1>"),
    failure: capacity,
    says: /HTML page.*proxy/,
  },

  // Misconfigured: what to do.
  {
    of: "401",
    answer: refusal(401, { message: `Incorrect API key provided: ${key}.`, code: "invalid_api_key" }),
    failure: misconfigured,
    says: /key in MY_KEY/,
  },
  {
    of: "401 without a body",
    answer: plain(401, "text/plain", ""),
    failure: { ...unclear, advice: expect.stringMatching(/key in MY_KEY/) },
    says: /HTTP 401/,
  },
  {
    of: "403",
    answer: refusal(403, { message: "Country not supported" }),
    failure: misconfigured,
    says: /Country not supported\. .*country or region that the calls come from/,
  },
  {
    of: "404 of a model",
    answer: refusal(404, { message: 'model "llama3.3" not found, try pulling it first' }),
    failure: misconfigured,
    says: /ollama pull llama3\.3.*"llama4"/,
  },
  {
    of: "404 of the path",
    answer: plain(404, "text/plain", "404 page not found"),
    failure: misconfigured,
    says: /baseUrl, which usually ends in \/v1/,
  },
  {
    of: "a model that is not there, with 400",
    answer: refusal(400, { message: "no", code: "model_not_found" }),
    failure: misconfigured,
    says: /modelId/,
  },
  {
    of: "405",
    answer: plain(405, "text/plain", ""),
    failure: { ...unclear, advice: expect.stringMatching(/baseUrl/) },
  },
  {
    of: "a redirect",
    answer: plain(301, "text/plain", "", { location: "http://elsewhere" }),
    failure: { ...unclear, advice: expect.stringMatching(/^Correct baseUrl\..* does not follow redirects/) },
  },
  {
    of: "JSON that is no completion",
    answer: json(200, { status: "ok" }),
    failure: { ...unclear, code: "model_unavailable", advice: expect.stringMatching(/baseUrl/) },
    says: /not a chat completion/,
  },
  {
    of: "max_tokens that is called otherwise",
    answer: refusal(400, {
      message:
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
      param: "max_tokens",
      code: "unsupported_parameter",
    }),
    failure: misconfigured,
    says: /Set maxTokensField: max_completion_tokens/,
  },
  {
    of: "a model that cannot stream",
    answer: refusal(400, { message: "This model does not support streaming" }),
    failure: misconfigured,
    says: /streaming: false/,
  },
  {
    of: "a model that does not fit into memory",
    answer: refusal(500, { message: "model requires more system memory (40 GiB) than is available (16 GiB)" }),
    failure: misconfigured,
    says: /smaller model/,
  },

  // The account's fault, whatever the status.
  {
    of: "B4: no credit, with 400",
    answer: json(400, {
      type: "error",
      error: { type: "invalid_request_error", message: "Your credit balance is too low to access the Anthropic API." },
    }),
    failure: misconfigured,
    says: /credit balance is too low.*billing/,
  },
  {
    of: "B4: a key that is not valid, with 400, in a list",
    answer: json(400, [
      { error: { code: 400, message: "API key not valid. Please pass a valid API key.", status: "INVALID_ARGUMENT" } },
    ]),
    failure: misconfigured,
    says: /API key not valid.*key in MY_KEY/,
  },
  {
    of: "an organization that has been disabled, with 400",
    answer: refusal(400, { message: "This organization has been disabled." }),
    failure: misconfigured,
  },
  {
    of: "a spend limit, with 403",
    answer: refusal(403, { message: "Key limit exceeded (total limit). Manage it using https://openrouter.ai/keys" }),
    failure: misconfigured,
    says: /billing/,
  },
  {
    of: "an account that is suspended, with 412",
    answer: refusal(412, { message: "Account a is suspended, possibly due to failure to pay past invoices." }),
    failure: misconfigured,
  },

  // One request's fault, whatever the status.
  {
    of: "B1: no endpoint for what it asks, with 404",
    answer: json(404, { error: { message: "No endpoints found that support tool use.", code: 404 } }),
    failure: rejected,
    says: /^No endpoints found that support tool use\.$/,
  },
  {
    of: "a server behind a gateway",
    answer: json(400, {
      error: {
        message: "Provider returned error",
        code: 400,
        metadata: { raw: '{"error":{"message":"prompt is too long: 9 tokens > 8 maximum"}}', provider_name: "X" },
      },
    }),
    failure: tooLong,
    says: /^Provider returned error\. prompt is too long/,
  },

  // Unclear whose fault it is: the scheduler finds out.
  { of: "an unknown 401", answer: refusal(401, { message: "No." }), failure: unclear, says: /^No\.$/ },
  { of: "an unknown 403", answer: refusal(403, { message: "No." }), failure: unclear, says: /^No\.$/ },
  { of: "an unknown 404", answer: refusal(404, { message: "No." }), failure: unclear, says: /^No\.$/ },
  {
    of: "credit for less than what it asks",
    answer: json(402, { error: { message: "This request requires more credits, or fewer max_tokens." } }),
    failure: unclear,
  },

  // Permanent: the server's own message.
  {
    of: "400",
    answer: refusal(400, { message: "temperature must be at most 2", param: "temperature" }),
    failure: rejected,
    says: /^temperature must be at most 2$/,
  },
  {
    of: "400 of vLLM",
    answer: json(400, { object: "error", message: "top_k must be -1", type: "BadRequestError", code: 400 }),
    failure: rejected,
    says: /^top_k must be -1$/,
  },
  {
    of: "422 of FastAPI",
    answer: json(422, { detail: [{ loc: ["body"], msg: "field required" }] }),
    failure: rejected,
    says: /field required/,
  },
  {
    of: "an error that is a text",
    answer: json(400, { error: "no tools here" }),
    failure: rejected,
    says: /^no tools here$/,
  },
  {
    of: "max_tokens that is too large",
    answer: refusal(400, {
      message: "max_tokens is too large: 99999. This model supports at most 4096 completion tokens.",
      param: "max_tokens",
      code: "invalid_value",
    }),
    failure: rejected,
  },
  { of: "413", answer: plain(413, "text/plain", "large"), failure: rejected, says: /^large$/ },
  { of: "413 without words", answer: plain(413, "text/plain", ""), failure: rejected, says: /HTTP 413/ },
  { of: "409", answer: refusal(409, { message: "conflict" }), failure: rejected },
  {
    of: "a prompt that is too long",
    answer: refusal(400, { message: "no", code: "context_length_exceeded" }),
    failure: tooLong,
  },
  {
    of: "in vLLM's words",
    answer: json(400, { message: "This model's maximum context length is 4096 tokens. However, you requested 5000." }),
    failure: tooLong,
  },
  {
    of: "in llama.cpp's words",
    answer: refusal(500, {
      message: "the request exceeds the available context size. try increasing it",
      type: "exceed_context_size_error",
    }),
    failure: tooLong,
  },
  {
    of: "D6: a list of wordings more is in wordings.unit.test.ts",
    answer: refusal(400, { message: "Please reduce the length of the messages" }),
    failure: tooLong,
  },
  {
    of: "Azure's content filter",
    answer: refusal(400, { message: "The response was filtered", code: "content_filter" }),
    failure: filtered,
  },
  {
    of: "OpenRouter's moderation",
    answer: json(403, { error: { code: 403, message: "Your input was flagged by moderation" } }),
    failure: filtered,
  },

  // Transient.
  {
    of: "500",
    answer: refusal(500, { message: "The server had an error", type: "server_error" }),
    failure: { kind: "transient", maybeBilled: false },
  },
  {
    of: "500 without a body",
    answer: plain(500, "text/plain", ""),
    failure: { kind: "transient", maybeBilled: false },
    says: /HTTP 500 without a message/,
  },
  { of: "504", answer: json(504, {}), failure: unknownEnd },
  { of: "408", answer: json(408, {}), failure: unknownEnd },
  {
    of: "an error with HTTP 200",
    answer: json(200, { error: { message: "Upstream is overloaded", code: 503 } }),
    failure: capacity,
  },
];

test.each(rows)("$of", async ({ answer, failure, says }) => {
  fake.respond(answer);
  const before = fake.requests.length;
  const got = await failureOf(ask(provider));
  expect(got).toMatchObject(failure);
  if (failure.kind === "throttled") expect(got.retryAfterMs).toBe(failure.retryAfterMs);
  if (says) expect(got.message).toMatch(says);
  expect(fake.requests.length).toBe(before + 1);
});

test("without a key the advice is to set one", async () => {
  fake.respond(refusal(401, { message: "You didn't provide an API key." }));
  expect((await failureOf(ask(withoutKey))).message).toMatch(/set the deployment's apiKeyEnv/);
});

test.each([key, `Bearer ${key}`, `${"x".repeat(990)}${key}`, "sk-proj-another-users-key", "gsk_anotherusers"])(
  "no secret of the server's words gets on: %s",
  async (words) => {
    fake.respond(refusal(400, { message: `We do not know ${words}` }));
    const { message } = await failureOf(ask(provider));
    expect(message).toContain("We do not know");
    expect(message).not.toContain("in-no-message");
    expect(message).not.toMatch(/another/);
    expect(message.length).toBeLessThanOrEqual(1_100);
  },
);

test("a megabyte of error is truncated", async () => {
  fake.respond(plain(500, "application/json", `{"error":{"message":"${"x".repeat(1_000_000)}"}}`));
  expect((await failureOf(ask(provider))).message.length).toBeLessThan(1_100);
  fake.respond(refusal(500, { message: "y".repeat(30_000) }));
  expect((await failureOf(ask(provider))).message.length).toBeLessThan(1_100);
});
