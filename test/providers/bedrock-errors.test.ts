// All ways in which Bedrock refuses or breaks off, over a real socket: the failure that the
// worker receives, and that one call was one request. Failures that an unstreamed answer can have too are tried both
// ways.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CanonicalRequest } from "../../src/domain/request.ts";
import type { Provider, ProviderFailure } from "../../src/providers/provider.ts";
import type { Fault } from "../../src/simulator/faults.ts";
import { type Simulator, startSimulator } from "../../src/simulator/simulator.ts";
import { ask, failureOf, providerFor } from "./fake-bedrock.ts";

let simulator: Simulator;
let streamed: Provider;
let whole: Provider;
let fault: Fault;
beforeAll(async () => {
  simulator = await startSimulator({ fault: () => fault });
  streamed = providerFor(simulator.url, { alternative: "llama4-maverick" });
  whole = providerFor(simulator.url, { alternative: "llama4-maverick", streaming: false });
});
afterAll(async () => {
  await streamed.close();
  await whole.close();
  await simulator.stop();
});

/** Everything that the worker acts on. What is absent here must be absent. */
type Classification = Pick<ProviderFailure, "kind" | "code" | "maybeBilled" | "throttle" | "retryAfterMs">;

/** Name, Bedrock's response, the failure for the worker, and the message for people. */
type Row = [of: string, fault: Fault, classification: Classification, says?: RegExp];

const throttled = (throttle: ProviderFailure["throttle"]): Classification => ({
  kind: "throttled",
  throttle,
  maybeBilled: false,
  code: "model_unavailable",
});
const capacity: Classification = { kind: "capacity", maybeBilled: false, code: "model_unavailable" };
const transient: Classification = { kind: "transient", maybeBilled: false, code: "model_unavailable" };
const misconfigured: Classification = { kind: "misconfigured", maybeBilled: false, code: "model_unavailable" };
const unclear: Classification = { kind: "unclear", maybeBilled: false, code: "provider_rejected" };
const rejected: Classification = { kind: "permanent", maybeBilled: false, code: "provider_rejected" };
const tooLong: Classification = { kind: "permanent", maybeBilled: false, code: "context_exceeded" };
const unknownEnd: Classification = { kind: "transient", maybeBilled: true, code: "unknown_end" };

async function check(provider: Provider, [, answer, classification, says]: Row): Promise<void> {
  fault = answer;
  const before = simulator.callCount;
  const seen = await failureOf(ask(provider));
  const { kind, code, maybeBilled, throttle, retryAfterMs } = seen;
  expect({ kind, code, maybeBilled, throttle, retryAfterMs }).toEqual({
    throttle: undefined,
    retryAfterMs: undefined,
    ...classification,
  });
  if (says) expect(seen.message).toMatch(says);
  expect(seen.message).not.toBe("");
  expect(simulator.callCount - before, "requests made").toBe(1);
  // All except those without a response, or with a response of another server, can be looked up at AWS.
  const { status, error, requestId } = simulator.calls.at(-1)!;
  if (status !== undefined && error !== undefined) expect(seen.requestId).toBe(requestId);
}

const error = (name: string, message: string, rest: { status?: number; retryAfterS?: number } = {}): Fault => ({
  kind: "error",
  error: name,
  message,
  ...rest,
});
const throttle = (message: string) => error("ThrottlingException", message);
const invalid = (message: string) => error("ValidationException", message);
const denied = (message: string) => error("AccessDeniedException", message);
const notFound = (message: string) => error("ResourceNotFoundException", message);

const refusals: Row[] = [
  // The classes of errors, each with its status.
  ["ThrottlingException", throttle("Rate exceeded"), throttled("unknown")],
  [
    "ModelNotReadyException, which is no quota",
    error("ModelNotReadyException", "The model is not ready, too many requests."),
    capacity,
  ],
  [
    "ServiceQuotaExceededException",
    error("ServiceQuotaExceededException", "You exceeded your quota."),
    throttled("unknown"),
  ],
  [
    "ServiceUnavailableException: connections",
    error("ServiceUnavailableException", "Too many connections, please wait before trying again."),
    capacity,
    /Too many connections/,
  ],
  [
    "ServiceUnavailableException: capacity",
    error("ServiceUnavailableException", "Bedrock is unable to process your request."),
    capacity,
  ],
  [
    "529 in another vendor's shape",
    { kind: "overloaded", retryAfterS: 3 },
    { ...capacity, retryAfterMs: 3_000 },
    /HTTP 529/,
  ],
  ["529 without Retry-After", { kind: "overloaded" }, capacity, /HTTP 529/],
  ["InternalServerException", error("InternalServerException", "Internal error"), transient, /Internal error/],
  ["ModelTimeoutException", error("ModelTimeoutException", "Model timed out"), unknownEnd, /timed out.*max_tokens/],
  ["ModelErrorException", error("ModelErrorException", "The model failed"), unknownEnd, /The model failed/],
  ["ModelStreamErrorException", error("ModelStreamErrorException", "The model broke"), unknownEnd],
  ["ValidationException", invalid("Something is wrong with it."), rejected, /^Something is wrong with it\.$/],
  [
    "AccessDeniedException",
    denied("You don't have access to the model with the specified model ID."),
    misconfigured,
    /don't have access.*bedrock:InvokeModel.*Or use the model "llama4-maverick"/,
  ],
  [
    "AccessDeniedException: a message without a full stop",
    denied("User: bob is not authorized to perform: bedrock:InvokeModel because no policy allows it"),
    misconfigured,
    /no policy allows it\. Allow bedrock:InvokeModel/,
  ],
  [
    "AccessDeniedException: payment",
    denied("Model access is denied due to INVALID_PAYMENT_INSTRUMENT: a valid payment instrument must be provided."),
    misconfigured,
    /INVALID_PAYMENT_INSTRUMENT/,
  ],
  [
    "AccessDeniedException: marketplace",
    denied("Model access is denied due to IAM user or service role is not authorized (aws-marketplace:Subscribe)"),
    misconfigured,
    /aws-marketplace:Subscribe/,
  ],
  [
    "ResourceNotFoundException: no such model",
    notFound("Could not resolve the foundation model from the model identifier: x"),
    misconfigured,
    /modelId.*us-east-1/,
  ],
  [
    "ResourceNotFoundException: end of life",
    notFound(
      "This model version has reached the end of its life. Please refer to the AWS documentation for more details.",
    ),
    misconfigured,
    /end of its life.*has been retired\. Use the model "llama4-maverick"/,
  ],
  [
    "ResourceNotFoundException: Legacy",
    notFound(
      "Access denied. This Model is marked by provider as Legacy and you have not been actively using the model in the last 15 days. Please upgrade to an active model on Amazon Bedrock",
    ),
    misconfigured,
    /marked by provider as Legacy.*being retired.*"llama4-maverick"/,
  ],
  [
    "ResourceNotFoundException: use-case form",
    notFound(
      "Model use case details have not been submitted for this account. Fill out the Anthropic use case details form.",
    ),
    misconfigured,
    /use case details.*Submit the use case form/,
  ],
  [
    "B3: an account that may not call Bedrock, with 400",
    invalid("Operation not allowed"),
    misconfigured,
    /^Operation not allowed\. AWS has not enabled Bedrock for this account\. .*support case/,
  ],
  [
    "B3: an account that is not authorized, with 400",
    invalid("Your account is not authorized to invoke this API operation."),
    misconfigured,
    /not authorized to invoke this API operation\. Check that the account has access/,
  ],
  [
    "a denial that may hang on what the request names",
    denied(
      "User: bob is not authorized to perform: bedrock:InvokeModel with an explicit deny in an identity-based policy",
    ),
    unclear,
    /explicit deny in an identity-based policy$/,
  ],
  ["an unknown denial", denied("No."), unclear, /^No\.$/],
  ["an unknown ResourceNotFoundException", notFound("Nothing here."), unclear, /^Nothing here\.$/],
  [
    "a guardrail that no request has named",
    denied(
      "User: bob is not authorized to perform: bedrock:ApplyGuardrail on resource: arn:aws:bedrock:x:1:guardrail/g",
    ),
    unclear,
    /ApplyGuardrail/,
  ],
  [
    "D6: a prompt that is too long, with max_tokens",
    invalid("input length and `max_tokens` exceed context limit: 196395 + 64000 > 204698"),
    tooLong,
    /196395/,
  ],
  ["D6: Nova", invalid("Input Tokens Exceeded: Number of input tokens exceeds maximum length."), tooLong],
  ["D6: Llama 4", invalid("Requested token count exceeds the model limit of 131072 tokens"), tooLong],
  ["ConflictException", error("ConflictException", "Token reused"), rejected],
  [
    "RequestExpired",
    error("RequestExpired", "Request has expired.", { status: 400 }),
    misconfigured,
    /^AWS reports that the request has expired, because this machine's clock/,
  ],
  [
    "SignatureDoesNotMatch, whose message quotes the request",
    error(
      "SignatureDoesNotMatch",
      "The request signature we calculated does not match. The Canonical String should have been\n'POST\nx-amz-security-token:very-secret-token'",
      { status: 403 },
    ),
    misconfigured,
    /^AWS refused the signature\. Check the secret access key, and that this machine's clock is correct\.$/,
  ],
  [
    "ExpiredToken",
    error("ExpiredToken", "The security token included in the request is expired", { status: 400 }),
    misconfigured,
    /expired\. Renew/,
  ],
  ["413", error("RequestEntityTooLarge", "Too large", { status: 413 }), rejected, /larger than Bedrock accepts/],
  ["MalformedHttpRequest", error("MalformedHttpRequestException", "Malformed", { status: 400 }), rejected],
  ["RequestTimeout of the transport", error("RequestTimeoutException", "Slow", { status: 408 }), unknownEnd, /^Slow$/],

  // Throttling: which quota, by the message.
  ["requests per minute", throttle("Too many requests, please wait before trying again."), throttled("requests")],
  ["request rate", throttle("Your request rate is too high. Reduce the frequency of requests."), throttled("requests")],
  ["tokens per minute", throttle("Too many tokens, please wait before trying again."), throttled("tokens")],
  [
    "tokens per day",
    throttle("Too many tokens per day, please wait before trying again."),
    throttled("tokens_per_day"),
  ],
  [
    "an overloaded model, which is no quota",
    throttle("Model us.meta.llama3-3-70b-instruct-v1:0 is currently overloaded. Please try again later."),
    capacity,
    /overloaded/,
  ],
  ["429 without a type", { kind: "error", status: 429 }, throttled("unknown"), /HTTP 429/],
  [
    "Retry-After with a throttle",
    error("ThrottlingException", "Too many requests", { retryAfterS: 7 }),
    { ...throttled("requests"), retryAfterMs: 7_000 },
  ],

  // Validation: the request's fault, which is final, or the deployment's.
  [
    "a model without on-demand throughput",
    invalid(
      "Invocation of model ID meta.llama3-3 with on-demand throughput isn’t supported. Retry your request with the ID or ARN of an inference profile that contains this model.",
    ),
    misconfigured,
    /inference profile, such as us\./,
  ],
  ["an invalid model ID", invalid("The provided model identifier is invalid."), misconfigured, /modelId/],
  [
    "max_tokens above the model's",
    invalid(
      "The maximum tokens you requested exceeds the model limit of 8192. Try again with a maximum tokens value that is lower than 8192.",
    ),
    rejected,
    /8192.*maxOutputTokens/,
  ],
  ["a prompt that is too long", invalid("Input is too long for requested model."), tooLong],
  ["a prompt that is too long, in numbers", invalid("prompt is too long: 210000 tokens > 200000 maximum"), tooLong],
  [
    "a prompt that is too long, under another name",
    error("ModelStreamErrorException", "Input is too long for requested model."),
    tooLong,
  ],
  [
    "a conversation that starts with the assistant",
    invalid(
      "A conversation must start with a user message. Try again with a conversation that starts with a user message.",
    ),
    rejected,
    /^A conversation must start/,
  ],
  [
    "roles that do not alternate",
    invalid("A conversation must alternate between user and assistant roles."),
    rejected,
    /^A conversation must alternate/,
  ],
  [
    "a blank text",
    invalid(
      "The text field in the ContentBlock object at messages.0.content.0 is blank. Add text to the text field, and try again.",
    ),
    rejected,
  ],
  [
    "an empty content",
    invalid(
      "The content field in the Message object at messages.0 is empty. Add a ContentBlock object to the content field and try again.",
    ),
    rejected,
  ],
  ["tools", invalid("This model doesn't support tool use."), rejected, /^This model doesn't support tool use\.$/],
  [
    "tools in a stream",
    invalid("This model doesn't support tool use in streaming mode."),
    rejected,
    /streamingTools: false/,
  ],
  ["stop sequences", invalid("This model doesn't support the stopSequences field. Remove stopSequences."), rejected],
  [
    "system prompts",
    invalid("This model doesn't support system messages. Try again without a system message."),
    rejected,
  ],
  ["a model that cannot stream", invalid("The model is unsupported for streaming."), misconfigured, /streaming: false/],
  ["an extraneous key", invalid("Malformed input request: extraneous key [x] is not permitted"), rejected],
  ["counting tokens", invalid("The provided model doesn't support counting tokens."), rejected],
  [
    "a model that the account may not use",
    invalid("Access to Anthropic models is not allowed for this account."),
    misconfigured,
    /not allowed for this account.*"llama4-maverick"/,
  ],
  ["a parameter that the model no longer takes", invalid("`temperature` is deprecated for this model."), rejected],

  // Errors that are not Bedrock's, or not its model's.
  [
    "an unknown type with a server's status",
    error("BrandNewException", "What is this?", { status: 500 }),
    transient,
    /What is this/,
  ],
  ["an unknown type with a client's status", error("BrandNewException", "No.", { status: 409 }), rejected, /^No\.$/],
  ["502 from a gateway", { kind: "error", status: 502 }, capacity, /HTTP 502/],
  ["503 from a gateway", { kind: "error", status: 503 }, capacity, /HTTP 503/],
  ["504 from a gateway", { kind: "error", status: 504 }, unknownEnd, /HTTP 504/],
  ["a message without a type", { kind: "error", status: 403, message: "Forbidden" }, unclear, /^Forbidden$/],
  ["502 in HTML", { kind: "html" }, capacity, /HTML page.*proxy/],
  ["200 in HTML", { kind: "html", status: 200 }, capacity, /HTML page.*proxy/],
  ["503 in HTML", { kind: "html", status: 503 }, capacity, /HTML page.*proxy/],
  ["500 that is not JSON", { kind: "not_json" }, transient, /HTTP 500 with a body that is not JSON/],
  ["502 that is not JSON", { kind: "not_json", status: 502 }, capacity, /HTTP 502 with a body that is not JSON/],
  ["a connection that is closed before there is a response", { kind: "cut" }, unknownEnd, /lost.*ECONNRESET/],
  ["a connection that is reset before there is a response", { kind: "reset" }, unknownEnd, /lost.*ECONNRESET/],
];

describe.each([{ streaming: true }, { streaming: false }])("refused, streaming: $streaming", ({ streaming }) => {
  test.each(refusals)("%s", (...row) => check(streaming ? streamed : whole, row));
});

const billed = (classification: Classification): Classification => ({ ...classification, maybeBilled: true });
const exception = (name: string, message: string, afterEvents: number): Fault => ({
  kind: "exception",
  error: name,
  message,
  afterEvents,
});

/** Under HTTP 200: exceptions of the stream, as its first frame and after some text. */
const inStream: [name: string, message: string, classification: Classification][] = [
  ["InternalServerException", "Oops", transient],
  ["ModelStreamErrorException", "The model broke", unknownEnd],
  ["ModelStreamErrorException", "Input is too long for requested model.", tooLong],
  ["ModelTimeoutException", "Too slow", unknownEnd],
  ["ServiceUnavailableException", "Later", capacity],
  ["ThrottlingException", "Too many requests, please wait before trying again.", throttled("requests")],
  ["ThrottlingException", "Too many tokens, please wait before trying again.", throttled("tokens")],
  ["ThrottlingException", "Too many tokens per day, please wait before trying again.", throttled("tokens_per_day")],
  ["ThrottlingException", "Model x is currently overloaded. Please try again later.", capacity],
  ["ValidationException", "The stream is not for you", rejected],
];

test("B2: a guardrail that the request names and may not use is the request's fault", async () => {
  fault = denied(
    "User: bob is not authorized to perform: bedrock:ApplyGuardrail on resource: arn:aws:bedrock:us-east-1:1:guardrail/g1",
  );
  const request: CanonicalRequest = {
    messages: [{ role: "user", content: [{ type: "text", text: "Hello?" }] }],
    parameters: { maxTokens: 100 },
    guardrail: { id: "g1", version: "1" },
  };
  expect(await failureOf(ask(streamed, { request }))).toMatchObject({
    kind: "permanent",
    code: "provider_rejected",
    message: expect.stringMatching(/bedrock:ApplyGuardrail/),
  });
});

describe("in the stream", () => {
  test.each(inStream)("%s (%s) as the first frame", (name, message, classification) =>
    check(streamed, [name, exception(name, message, 0), classification]),
  );
  test.each(inStream)("%s (%s) after some text", (name, message, classification) =>
    check(streamed, [name, exception(name, message, 3), billed(classification)]),
  );

  const broken: Row[] = [
    ["an exception of an unknown type", exception("BrandNewException", "What is this?", 2), unknownEnd, /What is this/],
    [
      "an error frame",
      { kind: "error_frame", code: "InternalFailure", message: "Something happened", afterEvents: 2 },
      billed(transient),
      /Something happened/,
    ],
    ["an error frame of an unknown code", { kind: "error_frame", code: "Odd", afterEvents: 2 }, unknownEnd],
    ["an error frame as the first", { kind: "error_frame", code: "Odd" }, unknownEnd],
    ["a connection that is closed", { kind: "cut", afterEvents: 3 }, unknownEnd, /lost.*ECONNRESET/],
    ["a connection that is closed after the head", { kind: "cut", afterEvents: 0 }, unknownEnd],
    ["a connection that is reset", { kind: "reset", afterEvents: 3 }, unknownEnd, /lost.*ECONNRESET/],
    ["half a frame", { kind: "truncated_frame", afterEvents: 3 }, unknownEnd, /cut off/],
    ["half a first frame", { kind: "truncated_frame" }, unknownEnd],
    ["a wrong checksum", { kind: "bad_checksum", afterEvents: 3 }, unknownEnd, /not in Bedrock's format/],
    [
      "an end between two frames",
      { kind: "early_end", afterEvents: 3 },
      unknownEnd,
      /stopped before the answer was complete/,
    ],
    ["an end before the first frame", { kind: "early_end" }, unknownEnd, /stopped before/],
    [
      "a guardrail",
      { kind: "stop_reason", stopReason: "guardrail_intervened" },
      { kind: "permanent", code: "content_filtered", maybeBilled: true },
    ],
    [
      "a filter",
      { kind: "stop_reason", stopReason: "content_filtered" },
      { kind: "permanent", code: "content_filtered", maybeBilled: true },
    ],
    [
      "malformed output",
      { kind: "stop_reason", stopReason: "malformed_model_output" },
      { kind: "transient", code: "malformed_output", maybeBilled: true },
    ],
    [
      "a malformed tool call",
      { kind: "stop_reason", stopReason: "malformed_tool_use" },
      { kind: "transient", code: "malformed_output", maybeBilled: true },
    ],
    [
      "a full context",
      { kind: "stop_reason", stopReason: "model_context_window_exceeded" },
      { kind: "permanent", code: "context_exceeded", maybeBilled: true },
    ],
  ];
  test.each(broken)("%s", (...row) => check(streamed, row));

  test("an event of an unknown type is no failure", async () => {
    fault = { kind: "unknown_event", afterEvents: 2 };
    expect((await ask(streamed)).text).toMatch(/^\[synthetic answer/);
  });
});

describe("an unstreamed answer", () => {
  const rows: Row[] = [
    ["that stops in its middle", { kind: "early_end" }, unknownEnd],
    ["that is not JSON", { kind: "bad_checksum" }, unknownEnd, /not in Bedrock's format/],
    ["whose connection is reset", { kind: "reset", afterEvents: 0 }, unknownEnd, /ECONNRESET/],
    [
      "a filter",
      { kind: "stop_reason", stopReason: "content_filtered" },
      { kind: "permanent", code: "content_filtered", maybeBilled: true },
    ],
  ];
  test.each(rows)("%s", (...row) => check(whole, row));
});

describe("silence", () => {
  test.each([
    ["before the first byte", { kind: "stall" }, /within 0.5 s.*firstByteMs/],
    ["after the head", { kind: "stall", afterEvents: 0 }, /within 0.5 s.*firstByteMs/],
    ["within the stream", { kind: "stall", afterEvents: 3 }, /for 0.1 s.*idleMs/],
  ] as [string, Fault, RegExp][])("%s is aborted, and closes the connection", async (_, answer, says) => {
    const timeouts = {
      connectMs: 20_000,
      firstByteMs: answer.kind === "stall" && answer.afterEvents ? 20_000 : 500,
      idleMs: 100,
      totalMs: 20_000,
    };
    const impatient = providerFor(simulator.url, { timeouts });
    await check(impatient, ["", answer, unknownEnd, says]);
    await expect.poll(() => simulator.calls.at(-1)!.outcome, { timeout: 15_000 }).toBe("broken");
    await impatient.close();
  });

  test.each([undefined, 2])("ends at the caller's abort (after %s events)", async (afterEvents) => {
    fault = { kind: "stall", ...(afterEvents !== undefined && { afterEvents }) };
    const before = simulator.callCount;
    const abort = new AbortController();
    const failed = failureOf(ask(streamed, { signal: abort.signal, onText: () => abort.abort() }));
    await expect.poll(() => simulator.callCount, { timeout: 15_000 }).toBe(before + 1);
    if (afterEvents === undefined) abort.abort();
    expect(await failed).toMatchObject({ kind: "aborted", code: "cancelled", maybeBilled: true });
    expect(simulator.callCount - before).toBe(1);
  });
});

test("a message is cut to a bounded length and its secrets are masked", async () => {
  fault = invalid(
    `Authorization: AWS4-HMAC-SHA256 Credential=AKIAEXAMPLEEXAMPLE12/x, Signature=abcdef0123 Bearer abcdefghijkl ${"x".repeat(1e6)}`,
  );
  const { message } = await failureOf(ask(streamed));
  expect(message.length).toBeLessThanOrEqual(1_100);
  expect(message).not.toMatch(/EXAMPLE12|abcdef/);
});
