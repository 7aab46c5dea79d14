// Bedrock Runtime: determines a request's operation and handles the call. It checks the signature and the body
// first. Then a fault may refuse the call, the quotas admit or throttle it, and it is answered.

import type { Authenticator, Caller } from "./aws-authentication.ts";
import { bedrockWire } from "./aws-bodies.ts";
import { BedrockError, invalid, tooManyRequests, tooManyTokens, tooManyTokensPerDay } from "./aws-errors.ts";
import { type ModelCall, readConverse } from "./bodies.ts";
import {
  answerCall,
  type CallContext,
  chooseFault,
  closeCall,
  orError,
  type RunningCall,
  refuse,
  within,
} from "./call.ts";
import { readCountTokens } from "./count-tokens.ts";
import { converse, type Dialect } from "./dialects.ts";
import type { Exchange } from "./exchange.ts";
import { readNative } from "./native-bodies.ts";
import type { ResolvedOptions } from "./options.ts";
import type { ExceededQuota } from "./quota-engine.ts";
import type { Delivered } from "./simulated-answer.ts";
import { type CalledModel, findModel, type Operation } from "./simulated-models.ts";
import type { Service } from "./simulator-server.ts";

export interface OperationContext extends CallContext {
  authenticator: Authenticator;
}

const operations: Record<string, Operation> = {
  converse: "Converse",
  "converse-stream": "ConverseStream",
  invoke: "InvokeModel",
  "invoke-with-response-stream": "InvokeModelWithResponseStream",
  "count-tokens": "CountTokens",
};

/** Serves POST /model/{modelId}/{operation}. */
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
    if (exchange.disconnected) return;
    if (valid instanceof BedrockError) refuse(bedrockWire, call, exchange, valid);
    else {
      delivered = await run(context, {
        operation,
        caller,
        exchange,
        call,
        latencyMs,
        ...valid,
        wire: bedrockWire,
        streaming: isStreaming(operation),
        throttle: (quota) => ({ error: new BedrockError("ThrottlingException", throttleMessages[quota]) }),
      });
    }
  } finally {
    closeCall(call, exchange, delivered, options.clock.now());
  }
}

async function receive(authenticator: Authenticator, exchange: Exchange): Promise<{ caller: Caller; body: string }> {
  const body = await exchange.readBody();
  return { caller: authenticator.authenticate(exchange.request, body, "bedrock"), body: body.toString() };
}

function decode(encodedId: string): string | undefined {
  try {
    return decodeURIComponent(encodedId);
  } catch {
    return undefined;
  }
}

type ValidCall = ModelCall & { model: CalledModel; dialect: Dialect };

/** Reads and checks a request. @throws BedrockError with Bedrock's refusal */
function validate(operation: Operation, encodedId: string, body: string, options: ResolvedOptions): ValidCall {
  const modelId = decode(encodedId);
  const model = modelId === undefined ? undefined : findModel(modelId, options.models);
  if (!model) throw invalid("The provided model identifier is invalid.");
  if (operation === "CountTokens") return { ...readCountTokens(body, model), model, dialect: converse };
  if (model.profileOnly && model.bare) {
    throw invalid(
      `Invocation of model ID ${model.id} with on-demand throughput isn’t supported. Retry your request with the ID or ARN of an inference profile that contains this model.`,
    );
  }
  const streaming = isStreaming(operation);
  if (streaming && !model.streaming) throw invalid("The model is unsupported for streaming.");
  if (isConverse(operation)) return { ...readConverse(body, model, streaming), model, dialect: converse };
  return { ...readNative(body, model, streaming, Math.floor(options.clock.wall() / 1_000)), model };
}

interface Run extends ValidCall, RunningCall {
  operation: Operation;
}

async function run(context: OperationContext, run: Run): Promise<Delivered> {
  const { operation, exchange, call } = run;
  const fault = chooseFault(context, run);
  if (fault === "refused") return { broken: false };
  // Free of charge, and no quota counts it.
  if (operation === "CountTokens") {
    const headers = { "content-type": "application/json", "x-amzn-requestid": call.requestId };
    exchange.send(200, headers, JSON.stringify({ inputTokens: run.inputTokens }));
    return { status: 200, broken: false };
  }
  return answerCall(context, run, fault);
}

const throttleMessages: Record<ExceededQuota, string> = {
  requests: tooManyRequests,
  tokens: tooManyTokens,
  tokens_per_day: tooManyTokensPerDay,
};

function isStreaming(operation: Operation): boolean {
  return operation === "ConverseStream" || operation === "InvokeModelWithResponseStream";
}

function isConverse(operation: Operation): boolean {
  return operation === "Converse" || operation === "ConverseStream";
}
