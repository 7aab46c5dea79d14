// Records an attempt as two spans: the wait before it and its call. They continue the trace of the job's acceptance, or
// begin a trace that is linked to it: long after the acceptance, and for the lines of a batch. Viewers cannot show a
// trace of a hundred thousand lines, and many backends drop spans that arrive hours after the first one.

import type { DeploymentSettings } from "../../config/settings.ts";
import { isEmbedding } from "../../domain/embedding-request.ts";
import type { AttemptEnd } from "../../domain/job.ts";
import { toUsd } from "../../domain/money.ts";
import { canonicalPart, type JobRequest } from "../../domain/request.ts";
import type { TraceContext } from "../../domain/trace-context.ts";
import type { WaitPart } from "../../domain/wait-parts.ts";
import { waitBefore, waitParts } from "../../domain/waiting.ts";
import { hasZeroRetention } from "../../jobs/retention/retention-policy.ts";
import {
  callSpan,
  type GenAiNames,
  messaging,
  queueSpan,
  sluice,
  waitEvent,
  waitedFor,
} from "../../telemetry/span-names.ts";
import type { Span, SpanAttributes, Tracing } from "../../telemetry/tracing.ts";
import type { WorkerContext } from "../worker-context.ts";
import type { Begun } from "./call-provider.ts";
import type { EndedAttempt } from "./disposition.ts";
import { inputContent, outputContent } from "./span-content.ts";

/** Time after a job's acceptance from which an attempt begins a trace of its own, in milliseconds. */
const nestedForMs = 10 * 60_000;

/** The span of a call that has begun. */
export interface CallSpan {
  /** Where the call is in its trace, to send on. */
  trace: TraceContext;
  end(ended: EndedAttempt): void;
}

/** The spans of one attempt. */
export class AttemptSpans {
  readonly #context: Pick<WorkerContext, "clock" | "settings">;
  readonly #tracing: Tracing;
  readonly #begun: Begun;
  /** Parent of the call's span. */
  readonly #parent: TraceContext;

  /**
   * Records the wait before the attempt.
   * @param waited the wait by its reasons; absent if it was short
   */
  constructor(
    context: Pick<WorkerContext, "clock" | "settings">,
    tracing: Tracing,
    begun: Begun,
    waited?: readonly WaitPart[],
  ) {
    this.#context = context;
    this.#tracing = tracing;
    this.#begun = begun;
    const { job, attempt, earlier } = begun;
    const { from, to } = waitBefore(job, attempt, earlier);
    const isNested = job.trace !== undefined && attempt.chargedAt - job.submittedAt < nestedForMs;
    const linked = job.trace ?? job.linkedTrace;
    const span = tracing.startSpan({
      name: queueSpan,
      kind: "internal",
      startedAt: from,
      ...(isNested ? { parent: job.trace } : linked && { links: [linked] }),
    });
    if (span.recording) {
      span.set({
        ...this.#about(),
        [messaging.system]: "sluice",
        [messaging.destination]: job.environment,
        [messaging.messageId]: job.id,
        [sluice.waitMs]: to - from,
      });
      addParts(span, waited ?? waitParts(job, attempt, earlier), to);
    }
    span.end(to);
    this.#parent = isNested ? job.trace! : span.context;
  }

  /** Begins the span of the call. */
  startCall(): CallSpan {
    const { clock, settings } = this.#context;
    const { job, attempt } = this.#begun;
    const names = this.#tracing.genAi;
    const deployment = settings.models[attempt.model]?.deployments.find(({ id }) => id === attempt.deployment);
    const span = this.#tracing.startSpan({
      name: callSpan(operationOf(job.request), deployment?.modelId ?? attempt.model),
      kind: "client",
      startedAt: clock.wall(),
      parent: this.#parent,
    });
    // Texts of a job whose texts are erased at its end must not remain elsewhere.
    const isErased = job.ephemeral || hasZeroRetention(settings.retention, job.environment, job.tenant);
    const withContent = settings.tracing.content && !isErased;
    if (span.recording) {
      span.set({ ...this.#about(), ...requestAttributes(names, this.#begun, deployment) });
      if (withContent) span.set(inputContent(names, job.request));
    }
    return {
      trace: span.context,
      end: ({ disposition: { outcome }, end }) => {
        if (span.recording) {
          span.set(resultAttributes(names, end, outcome?.finishReason));
          if (withContent && outcome) span.set(outputContent(names, outcome));
        }
        span.end(end.at, failureOf(end));
      },
    };
  }

  #about(): SpanAttributes {
    const { job, attempt } = this.#begun;
    return {
      [sluice.jobId]: job.id,
      [sluice.batchId]: job.batchId,
      [sluice.attempt]: attempt.n,
      [sluice.environment]: job.environment,
      [sluice.tenant]: job.tenant,
      [sluice.priority]: job.priority,
      [sluice.model]: attempt.model,
      [sluice.deployment]: attempt.deployment,
      [sluice.worker]: attempt.worker,
    };
  }
}

/**
 * Adds the parts of a wait to its span: the sum of each kind as an attribute, and each reason as an event.
 * @param at end of the wait
 */
function addParts(span: Span, parts: readonly WaitPart[], at: number): void {
  const sums = new Map<string, number>();
  for (const { kind, subject, ms } of parts) {
    const name = waitedFor(kind);
    sums.set(name, (sums.get(name) ?? 0) + ms);
    span.event(waitEvent, at, {
      [sluice.waitReason]: kind,
      ...(subject !== undefined && { [sluice.waitSubject]: subject }),
      [sluice.waitMs]: ms,
    });
  }
  span.set(Object.fromEntries(sums));
}

function operationOf(request: JobRequest): "chat" | "embeddings" {
  return isEmbedding(request) ? "embeddings" : "chat";
}

function requestAttributes(
  names: GenAiNames,
  { job, attempt }: Begun,
  deployment: DeploymentSettings | undefined,
): SpanAttributes {
  const { parameters, guardrail } = canonicalPart(job.request);
  return {
    [names.operation]: operationOf(job.request),
    ...(deployment && serverAttributes(names, deployment)),
    [names.maxTokens]: parameters.maxTokens,
    [names.temperature]: parameters.temperature,
    [names.topP]: parameters.topP,
    [names.topK]: parameters.topK,
    [names.seed]: parameters.seed,
    [names.frequencyPenalty]: parameters.frequencyPenalty,
    [names.presencePenalty]: parameters.presencePenalty,
    [names.guardrail]: guardrail?.id,
    [sluice.reservedTokens]: attempt.reserved.input + attempt.reserved.output,
  };
}

function serverAttributes(names: GenAiNames, deployment: DeploymentSettings): SpanAttributes {
  const { provider, region, modelId, endpoint, openai } = deployment;
  const address = openai?.baseUrl ?? endpoint ?? `https://bedrock-runtime.${region}.amazonaws.com`;
  const { hostname, port } = new URL(address);
  return {
    [names.provider]: provider === "bedrock" ? "aws.bedrock" : "openai",
    [names.requestModel]: modelId,
    [names.serverAddress]: hostname,
    [names.serverPort]: port === "" ? undefined : Number(port),
  };
}

function resultAttributes(names: GenAiNames, end: AttemptEnd, finishReason: string | undefined): SpanAttributes {
  const { usage, estimated, firstTokenMs, requestId, costNanoUsd } = end;
  return {
    [sluice.result]: end.result,
    [names.errorType]: failureOf(end),
    [names.responseId]: requestId,
    [names.finishReasons]: finishReason === undefined ? undefined : [finishReason],
    [names.timeToFirstChunk]: firstTokenMs === undefined ? undefined : firstTokenMs / 1000,
    // An estimate of what a lost call used is not what the provider reported.
    ...(usage &&
      !estimated && {
        [names.inputTokens]: usage.input,
        [names.outputTokens]: usage.output,
        [names.cacheReadTokens]: usage.cacheRead,
        [names.cacheWriteTokens]: usage.cacheWrite,
      }),
    [sluice.costUsd]: costNanoUsd === undefined ? undefined : toUsd(costNanoUsd),
  };
}

/** Returns the code of the error. The job's code would not tell a throttle from an overload. */
function failureOf({ result, error }: AttemptEnd): string | undefined {
  if (result === "completed") return undefined;
  return result === "throttled" || result === "capacity" ? result : (error?.code ?? result);
}
