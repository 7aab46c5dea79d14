// Bedrock Runtime: which operation a request means, and the way of a call. Is it signed and valid, does a fault refuse
// it, do the quotas admit it, and then the answer.
import { type Delivered, deliverStream, deliverWhole } from "./answer.ts";
import type { Authenticator, Caller } from "./authentication.ts";
import { type ModelCall, readConverse, readLlama } from "./bodies.ts";
import { readCountTokens } from "./count-tokens.ts";
import { converse, llama } from "./dialects.ts";
import {
  BedrockError,
  defaultMessage,
  invalid,
  statusOf,
  tooManyRequests,
  tooManyTokens,
  tooManyTokensPerDay,
} from "./errors.ts";
import type { Exchange } from "./exchange.ts";
import type { Fault } from "./faults.ts";
import type { Journal, OpenCall, Operation, RecordedCall } from "./journal.ts";
import { type CalledModel, findModel } from "./models.ts";
import type { ResolvedOptions } from "./options.ts";
import type { ExceededQuota, QuotaEngine } from "./quota-engine.ts";
import { type Service, sendError } from "./server.ts";
import { synthesize } from "./text.ts";

export interface OperationContext {
  options: ResolvedOptions;
  authenticator: Authenticator;
  journal: Journal;
  /** What goes wrong with a call, if anything. */
  faultOf: (call: RecordedCall) => Fault | undefined;
  /** The pool that a model's calls draw on. */
  quotas: (model: CalledModel, caller: Caller) => QuotaEngine;
  /** Numbers from 0 up to 1, the same on every run. */
  random: () => number;
}

const operations: Record<string, Operation> = {
  converse: "Converse",
  "converse-stream": "ConverseStream",
  invoke: "InvokeModel",
  "invoke-with-response-stream": "InvokeModelWithResponseStream",
  "count-tokens": "CountTokens",
};

/** POST /model/{modelId}/{operation}. */
export function runtimeService(context: OperationContext): Service {
  return ({ method, path }) => {
    const [, root, encodedId, name, ...rest] = path.split("/");
    const operation = name !== undefined && Object.hasOwn(operations, name) ? operations[name] : undefined;
    if (method !== "POST" || root !== "model" || !encodedId || !operation || rest.length > 0) return undefined;
    return (exchange) => handle(context, operation, encodedId, exchange);
  };
}

async function handle(
  context: OperationContext,
  operation: Operation,
  encodedId: string,
  exchange: Exchange,
): Promise<void> {
  const { options, journal, random } = context;
  const received = await orError(() => receive(context.authenticator, exchange));
  const jitterMs = random() * options.jitterMs;
  const latencyMs = within(options.latencyMs, random());
  await exchange.sleep(jitterMs);
  const caller = received instanceof BedrockError ? {} : received.caller;
  const valid =
    received instanceof BedrockError
      ? received
      : await orError(() => validate(operation, encodedId, received.body, options));
  const call = journal.open({
    operation,
    modelId: decode(encodedId) ?? encodedId,
    ...caller,
    arrivedAt: options.clock.now(),
    prompt: "prompt" in valid ? valid.prompt : "",
    inputTokens: "prompt" in valid ? valid.inputTokens : 0,
    maxTokens: "prompt" in valid ? valid.maxTokens : 0,
  });
  let delivered: Delivered = { broken: false };
  try {
    if (exchange.gone) return;
    if (valid instanceof BedrockError) refuse(call, exchange, valid);
    else delivered = await run(context, { operation, caller, exchange, call, latencyMs, ...valid });
  } finally {
    close(call, exchange, delivered);
    call.endedAt = options.clock.now();
  }
}

async function receive(authenticator: Authenticator, exchange: Exchange): Promise<{ caller: Caller; body: string }> {
  const body = await exchange.readBody();
  return { caller: authenticator.authenticate(exchange.request, body, "bedrock"), body: body.toString() };
}

/** What a step gives, or why the request is refused. */
async function orError<T>(step: () => T | Promise<T>): Promise<T | BedrockError> {
  try {
    return await step();
  } catch (error) {
    if (error instanceof BedrockError) return error;
    throw error;
  }
}

function decode(encodedId: string): string | undefined {
  try {
    return decodeURIComponent(encodedId);
  } catch {
    return undefined;
  }
}

type ValidCall = ModelCall & { model: CalledModel };

/** @throws BedrockError */
function validate(operation: Operation, encodedId: string, body: string, options: ResolvedOptions): ValidCall {
  const modelId = decode(encodedId);
  const model = modelId === undefined ? undefined : findModel(modelId, options.models);
  if (!model) throw invalid("The provided model identifier is invalid.");
  if (operation === "CountTokens") return { ...readCountTokens(body, model), model };
  if (model.profileOnly && model.bare) {
    throw invalid(
      `Invocation of model ID ${model.id} with on-demand throughput isn’t supported. Retry your request with the ID or ARN of an inference profile that contains this model.`,
    );
  }
  const streaming = isStreaming(operation);
  if (streaming && !model.streaming) throw invalid("The model is unsupported for streaming.");
  const read = isConverse(operation) ? readConverse(body, model, streaming) : readLlama(body, model);
  return { ...read, model };
}

interface Run extends ValidCall {
  operation: Operation;
  caller: Caller;
  exchange: Exchange;
  call: OpenCall;
  latencyMs: number;
}

const throttleMessages: Record<ExceededQuota, string> = {
  requests: tooManyRequests,
  tokens: tooManyTokens,
  tokens_per_day: tooManyTokensPerDay,
};

async function run({ options, quotas, faultOf }: OperationContext, run: Run): Promise<Delivered> {
  const { operation, caller, exchange, call, model } = run;
  const fault = faultOf(call);
  if (fault) call.fault = fault.kind;
  if (fault && refuseByFault(fault, call, exchange)) return { broken: false };
  // Free of charge, and counted by no quota.
  if (operation === "CountTokens") {
    const headers = { "content-type": "application/json", "x-amzn-requestid": call.requestId };
    exchange.send(200, headers, JSON.stringify({ inputTokens: run.inputTokens }));
    return { status: 200, broken: false };
  }

  const quota = quotas(model, caller);
  const admission = quota.admit(call.arrivedAt, { input: run.inputTokens, maxTokens: run.maxTokens });
  if (typeof admission === "string") {
    refuse(call, exchange, new BedrockError("ThrottlingException", throttleMessages[admission]));
    call.outcome = "throttled";
    call.quota = admission;
    return { broken: false };
  }
  call.chargedTokens = admission.tokens.amount;

  const answer = synthesize({ ...run, seed: options.seed, length: options.answerTokens });
  const deliver = isStreaming(operation) ? deliverStream : deliverWhole;
  return deliver({
    exchange,
    requestId: call.requestId,
    dialect: isConverse(operation) ? converse : llama,
    rendering: {
      answer,
      inputTokens: run.inputTokens,
      withUsage: fault?.kind !== "no_usage",
      ...(fault?.kind === "stop_reason" && { stopReason: fault.stopReason }),
    },
    fault,
    latencyMs: run.latencyMs,
    msPerToken: options.tokensPerSecond === undefined ? 0 : 1_000 / options.tokensPerSecond,
    settle(output) {
      call.outputTokens = output;
      call.chargedTokens = quota.settle(options.clock.now(), admission, { input: run.inputTokens, output });
    },
  });
}

/** Answers a fault that refuses the call; false for a fault that strikes later. */
function refuseByFault(fault: Fault, call: OpenCall, exchange: Exchange): boolean {
  const headers: Record<string, string> =
    "retryAfterS" in fault && fault.retryAfterS !== undefined ? { "retry-after": String(fault.retryAfterS) } : {};
  const send = (status: number, contentType: string, body: string) => {
    call.outcome = "refused";
    call.status = status;
    exchange.send(status, { ...headers, "content-type": contentType }, body);
    return true;
  };
  switch (fault.kind) {
    case "error": {
      const { error, message } = fault;
      if (error === undefined) return send(fault.status ?? 500, "application/json", JSON.stringify({ message }));
      const status = fault.status ?? statusOf(error) ?? 500;
      refuse(call, exchange, new BedrockError(error, message ?? defaultMessage(error), status), headers);
      return true;
    }
    case "overloaded": {
      const body = { type: "error", error: { type: "overloaded_error", message: "Overloaded" } };
      return send(529, "application/json", JSON.stringify(body));
    }
    case "html": {
      const title = fault.status === 200 ? "Sign in to the network" : "502 Bad Gateway";
      return send(fault.status ?? 502, "text/html", `<html><body><h1>${title}</h1></body></html>`);
    }
    case "not_json":
      return send(fault.status ?? 500, "application/json", "<oops");
    default:
      return false;
  }
}

function refuse(call: OpenCall, exchange: Exchange, error: BedrockError, headers: Record<string, string> = {}): void {
  call.outcome = "refused";
  call.status = error.status;
  call.error = error.name;
  sendError(exchange, error, call.requestId, headers);
}

/** Writes down how a call ended that was not refused. */
function close(call: OpenCall, exchange: Exchange, delivered: Delivered): void {
  if (call.outcome !== "running") return;
  if (delivered.status !== undefined) call.status = delivered.status;
  if (delivered.error !== undefined) call.error = delivered.error;
  call.outcome = delivered.broken ? "broken" : exchange.gone ? "aborted" : "answered";
}

function isStreaming(operation: Operation): boolean {
  return operation === "ConverseStream" || operation === "InvokeModelWithResponseStream";
}

function isConverse(operation: Operation): boolean {
  return operation === "Converse" || operation === "ConverseStream";
}

function within([min, max]: readonly [number, number], share: number): number {
  return min + share * (max - min);
}
