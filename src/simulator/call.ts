// Handles a call that its API has read and found valid. A fault may refuse it, then the quotas admit or throttle it,
// then it is answered. This is the same for every API. Only the formats differ.

import type { Caller } from "./aws-authentication.ts";
import type { Wire } from "./aws-bodies.ts";
import { BedrockError, defaultMessage, statusOf } from "./aws-errors.ts";
import type { ModelCall } from "./bodies.ts";
import type { Dialect } from "./dialects.ts";
import type { Exchange } from "./exchange.ts";
import type { Fault } from "./faults.ts";
import type { Journal, OpenCall, RecordedCall } from "./journal.ts";
import type { ResolvedOptions } from "./options.ts";
import type { ExceededQuota, QuotaEngine } from "./quota-engine.ts";
import { type Delivered, deliverStream, deliverWhole } from "./simulated-answer.ts";
import type { CalledModel } from "./simulated-models.ts";
import { synthesize } from "./text.ts";

/** What every call of a simulator shares. */
export interface CallContext {
  options: ResolvedOptions;
  journal: Journal;
  /** Returns the fault that applies to a call, if any. */
  faultOf: (call: RecordedCall) => Fault | undefined;
  /** Returns the quotas of a model's calls. */
  quotas: (model: CalledModel, caller: Caller) => QuotaEngine;
  /** Returns numbers from 0 up to 1, the same sequence on every run. */
  random: () => number;
}

/** A valid call that is being answered. */
export interface RunningCall extends ModelCall {
  exchange: Exchange;
  call: OpenCall;
  caller: Caller;
  model: CalledModel;
  latencyMs: number;
  streaming: boolean;
  dialect: Dialect;
  wire: Wire;
  /** Returns the error for a call that a quota refuses. */
  throttle: (quota: ExceededQuota, engine: QuotaEngine) => { error: BedrockError; headers?: Record<string, string> };
  /** Returns headers about the quotas for every answer, after the call's own charge. Default: none. */
  quotaHeaders?: (engine: QuotaEngine) => Record<string, string>;
}

/** Chooses the fault of a call and applies it if it refuses the call. Returns the fault, or "refused". */
export function chooseFault({ faultOf }: CallContext, running: RunningCall): Fault | undefined | "refused" {
  const fault = faultOf(running.call);
  if (fault) running.call.fault = fault.kind;
  return fault && refuseByFault(fault, running) ? "refused" : fault;
}

/** Charges the quotas and answers a call, or refuses it with a throttle. */
export async function answerCall(
  { options, quotas }: CallContext,
  running: RunningCall,
  fault: Fault | undefined,
): Promise<Delivered> {
  const { exchange, call, model, inputTokens, wire } = running;
  const engine = quotas(model, running.caller);
  const reserved = running.reservedTokens ?? running.maxTokens;
  const admission = engine.admit(call.arrivedAt, { input: inputTokens, maxTokens: reserved });
  if (typeof admission === "string") {
    const { error, headers } = running.throttle(admission, engine);
    refuse(wire, call, exchange, error, headers);
    call.outcome = "throttled";
    call.quota = admission;
    return { broken: false };
  }
  call.chargedTokens = admission.tokens.amount;

  const answer = synthesize({ ...running, seed: options.seed, length: options.answerTokens });
  const deliver = running.streaming ? deliverStream : deliverWhole;
  return deliver({
    exchange,
    requestId: call.requestId,
    dialect: running.dialect,
    wire,
    headers: running.quotaHeaders?.(engine) ?? {},
    rendering: {
      answer,
      inputTokens,
      withUsage: fault?.kind !== "no_usage",
      ...(running.serviceTier !== undefined && { serviceTier: running.serviceTier }),
      ...(fault?.kind === "stop_reason" && { stopReason: fault.stopReason }),
    },
    fault,
    latencyMs: running.latencyMs,
    msPerToken: options.tokensPerSecond === undefined ? 0 : 1_000 / options.tokensPerSecond,
    settle(output) {
      call.outputTokens = output;
      call.chargedTokens = engine.settle(options.clock.now(), admission, { input: inputTokens, output });
    },
  });
}

/** Applies a fault that refuses the call. Returns false for a fault that applies later. */
function refuseByFault(fault: Fault, { wire, call, exchange }: RunningCall): boolean {
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
      refuse(wire, call, exchange, new BedrockError(error, message ?? defaultMessage(error), status), headers);
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

/** Answers with an error and records it. */
export function refuse(
  wire: Wire,
  call: OpenCall,
  exchange: Exchange,
  error: BedrockError,
  headers: Record<string, string> = {},
): void {
  call.outcome = "refused";
  call.status = error.status;
  call.error = error.name;
  wire.sendError(exchange, error, call.requestId, headers);
}

/** Records how and when a call ended. */
export function closeCall(call: OpenCall, exchange: Exchange, delivered: Delivered, now: number): void {
  call.endedAt = now;
  if (call.outcome !== "running") return;
  if (delivered.status !== undefined) call.status = delivered.status;
  if (delivered.error !== undefined) call.error = delivered.error;
  call.outcome = delivered.broken ? "broken" : exchange.disconnected ? "aborted" : "answered";
}

/** Returns the result of a step, or the error that refuses the request. */
export async function orError<T>(step: () => T | Promise<T>): Promise<T | BedrockError> {
  try {
    return await step();
  } catch (error) {
    if (error instanceof BedrockError) return error;
    throw error;
  }
}

/** Returns the value at a share of a range. */
export function within([min, max]: readonly [number, number], share: number): number {
  return min + share * (max - min);
}
