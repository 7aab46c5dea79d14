// The way of a call: is it valid, does a fault refuse it, do the quotas admit it, and then the answer.
import { type Delivered, deliverStream, deliverWhole } from "./answer.ts";
import type { Authenticator } from "./authentication.ts";
import { type ModelCall, readConverse, readLlama } from "./bodies.ts";
import { converse, llama } from "./dialects.ts";
import { BedrockError, defaultMessage, invalid, tooManyRequests, tooManyTokens } from "./errors.ts";
import type { Exchange } from "./exchange.ts";
import type { Fault } from "./faults.ts";
import type { Journal, OpenCall, Operation } from "./journal.ts";
import { type CalledModel, findModel } from "./models.ts";
import type { ResolvedOptions } from "./options.ts";
import type { QuotaEngine } from "./quota-engine.ts";
import { type Service, sendError } from "./server.ts";
import { synthesize } from "./text.ts";

export interface OperationContext {
  options: ResolvedOptions;
  authenticator: Authenticator;
  journal: Journal;
  /** The pool of a model in a region. */
  quotas: (model: CalledModel, region: string | undefined) => QuotaEngine;
  /** Numbers from 0 up to 1, the same on every run. */
  random: () => number;
}

interface OperationRequest {
  operation: Operation;
  modelId: string;
  region?: string;
  body: string;
}

const operations: Record<string, Operation> = {
  converse: "Converse",
  "converse-stream": "ConverseStream",
  invoke: "InvokeModel",
  "invoke-with-response-stream": "InvokeModelWithResponseStream",
};

/** Bedrock Runtime: POST /model/{modelId}/{operation}. */
export function runtimeService(context: OperationContext): Service {
  const handle = createOperations(context);
  return ({ method, path }) => {
    const [, root, encodedId, name, ...rest] = path.split("/");
    const operation = name !== undefined && Object.hasOwn(operations, name) ? operations[name] : undefined;
    if (method !== "POST" || root !== "model" || !encodedId || !operation || rest.length > 0) return undefined;
    return async (exchange) => {
      const modelId = decode(encodedId);
      const body = await exchange.readBody();
      const { region } = context.authenticator.authenticate(exchange.request, body, "bedrock");
      await handle({ operation, modelId, ...(region !== undefined && { region }), body: body.toString() }, exchange);
    };
  };
}

function decode(encodedId: string): string {
  try {
    return decodeURIComponent(encodedId);
  } catch {
    throw invalid("The provided model identifier is invalid.");
  }
}

function createOperations(context: OperationContext) {
  const { options, journal, random } = context;
  return async (request: OperationRequest, exchange: Exchange): Promise<void> => {
    const jitterMs = random() * options.jitterMs;
    const latencyMs = within(options.latencyMs, random());
    await exchange.sleep(jitterMs);
    const valid = validate(request, options);
    const call = journal.open({
      operation: request.operation,
      modelId: request.modelId,
      ...(request.region !== undefined && { region: request.region }),
      arrivedAt: options.clock.now(),
      prompt: "prompt" in valid ? valid.prompt : "",
      inputTokens: "prompt" in valid ? valid.inputTokens : 0,
      maxTokens: "prompt" in valid ? valid.maxTokens : 0,
    });
    let delivered: Delivered = { broken: false };
    try {
      if (exchange.gone) return;
      if (valid instanceof BedrockError) refuse(call, exchange, valid);
      else delivered = await run(context, { request, exchange, call, latencyMs, ...valid });
    } finally {
      close(call, exchange, delivered);
      call.endedAt = options.clock.now();
    }
  };
}

type ValidCall = ModelCall & { model: CalledModel };

/** The call, or why it is refused. */
function validate(request: OperationRequest, options: ResolvedOptions): ValidCall | BedrockError {
  try {
    const model = findModel(request.modelId, options.models);
    if (!model) throw invalid("The provided model identifier is invalid.");
    if (model.profileOnly && model.bare) {
      throw invalid(
        `Invocation of model ID ${model.id} with on-demand throughput isn’t supported. Retry your request with the ID or ARN of an inference profile that contains this model.`,
      );
    }
    const streaming = isStreaming(request);
    if (streaming && !model.streaming) throw invalid("The model is unsupported for streaming.");
    const read = isConverse(request) ? readConverse(request.body, model, streaming) : readLlama(request.body, model);
    return { ...read, model };
  } catch (error) {
    if (error instanceof BedrockError) return error;
    throw error;
  }
}

interface Run extends ValidCall {
  request: OperationRequest;
  exchange: Exchange;
  call: OpenCall;
  latencyMs: number;
}

async function run({ options, quotas }: OperationContext, run: Run): Promise<Delivered> {
  const { request, exchange, call, model } = run;
  const fault = options.fault?.(call) ?? recurringFault(options, call.n);
  if (fault) call.fault = fault.kind;
  if (fault && refuseByFault(fault, call, exchange)) return { broken: false };

  const quota = quotas(model, request.region);
  const admission = quota.admit(call.arrivedAt, { input: run.inputTokens, maxTokens: run.maxTokens });
  if (typeof admission === "string") {
    const message = admission === "requests" ? tooManyRequests : tooManyTokens;
    refuse(call, exchange, new BedrockError("ThrottlingException", message));
    call.outcome = "throttled";
    return { broken: false };
  }

  const answer = synthesize({ ...run, seed: options.seed, length: options.answerTokens });
  const deliver = isStreaming(request) ? deliverStream : deliverWhole;
  return deliver({
    exchange,
    requestId: call.requestId,
    dialect: isConverse(request) ? converse : llama,
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
      quota.settle(options.clock.now(), admission, { input: run.inputTokens, output });
    },
  });
}

function recurringFault(options: ResolvedOptions, n: number): Fault | undefined {
  const isTurn = (every: number | undefined) => every !== undefined && n % every === 0;
  if (isTurn(options.throttleEvery)) return { kind: "error", error: "ThrottlingException" };
  if (isTurn(options.unavailableEvery)) return { kind: "error", error: "ServiceUnavailableException" };
  if (isTurn(options.cutEvery)) return { kind: "cut", afterEvents: 3 };
  return undefined;
}

/** Answers a fault that refuses the call; false for a fault that strikes later. */
function refuseByFault(fault: Fault, call: OpenCall, exchange: Exchange): boolean {
  const headers: Record<string, string> =
    "retryAfterS" in fault && fault.retryAfterS !== undefined ? { "retry-after": String(fault.retryAfterS) } : {};
  switch (fault.kind) {
    case "error":
      refuse(call, exchange, new BedrockError(fault.error, fault.message ?? defaultMessage(fault.error)), headers);
      return true;
    case "overloaded": {
      call.status = 529;
      const body = { type: "error", error: { type: "overloaded_error", message: "Overloaded" } };
      exchange.send(529, { ...headers, "content-type": "application/json" }, JSON.stringify(body));
      break;
    }
    case "html":
      call.status = 502;
      exchange.send(502, { "content-type": "text/html" }, "<html><body><h1>502 Bad Gateway</h1></body></html>");
      break;
    default:
      return false;
  }
  call.outcome = "refused";
  return true;
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

function isStreaming({ operation }: OperationRequest): boolean {
  return operation === "ConverseStream" || operation === "InvokeModelWithResponseStream";
}

function isConverse({ operation }: OperationRequest): boolean {
  return operation === "Converse" || operation === "ConverseStream";
}

function within([min, max]: readonly [number, number], share: number): number {
  return min + share * (max - min);
}
