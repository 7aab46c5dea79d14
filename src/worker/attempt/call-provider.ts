// Calls a provider: streams its text, aborts the call when it must end, and returns its disposition.
import { definedFields } from "../../domain/defined-fields.ts";
import type { AttemptEnd, Job } from "../../domain/job.ts";
import type { TraceContext } from "../../domain/trace-context.ts";
import { ProviderError, type ProviderFailure } from "../../providers/provider.ts";
import type { WorkerContext } from "../worker-context.ts";
import type { CallText } from "./call-text.ts";
import { OutputMeter, outputOf, withCost, withEstimate } from "./call-usage.ts";
import {
  type Disposition,
  dispositionOf,
  dispositionOfAbort,
  dispositionOfAnswer,
  type EndedAttempt,
  type Tried,
} from "./disposition.ts";
import type { RunningCall } from "./running-call.ts";

/** The texts that one of several attempts embeds. */
export interface EmbeddingPart {
  /** Index of the first text. */
  from: number;
  /** Whether no text follows. */
  isLast: boolean;
}

/** An attempt that has begun, with its whole job. */
export interface Begun extends Tried {
  /** The job. Its request is that of the attempt. */
  job: Job;
  /** Set if the job needs several calls. */
  part?: EmbeddingPart;
}

/**
 * Calls the provider. It never throws: an error of the provider or a bug becomes a failure with its disposition.
 * @param text receives the text of the call
 * @param trace the trace that the call belongs to
 * @param onSent called when the whole request has left
 */
export async function callProvider(
  context: WorkerContext,
  call: RunningCall,
  begun: Begun,
  { text, trace, onSent }: { text: CallText; trace?: TraceContext; onSent: () => void },
): Promise<EndedAttempt> {
  const { clock, settings, providers, usageMeter } = context;
  const { job, attempt } = begun;
  const meter = new OutputMeter();
  const sentAt = clock.now();
  const ended = (disposition: Disposition, seenTokens: number | undefined): EndedAttempt => {
    const times = { at: clock.wall(), durationMs: Math.round(clock.now() - sentAt) };
    const end = definedFields<AttemptEnd>(disposition.attempt, times);
    const estimated = seenTokens === undefined ? end : withEstimate(end, attempt, seenTokens);
    return { disposition, end: withCost(settings, begun, estimated) };
  };
  const cancelDeadline = job.expiresAt === undefined ? undefined : expireAt(context, call, job.expiresAt);
  text.begin(attempt, begun.earlier);
  try {
    const answer = await providers.get(call.grant.deployment)!.call({
      request: job.request,
      signal: call.signal,
      onText: text.publish,
      onOutput: meter.add,
      onSent,
      ...(trace && { trace }),
    });
    call.decide();
    const counted = answer.quotaUsage ?? answer.usage;
    if (counted) usageMeter?.observe(job.request, attempt.model, counted);
    return ended(dispositionOfAnswer(answer, begun), outputOf(answer));
  } catch (error) {
    call.decide();
    const failure = failureOf(context, begun, error);
    return ended(failureDisposition(context, call, begun, failure), failure.maybeBilled ? meter.tokens : undefined);
  } finally {
    cancelDeadline?.();
  }
}

/**
 * Time to read an arrived answer before aborting, in milliseconds. A process that was frozen finds its timers due
 * before it reads its sockets.
 */
const wakingMs = 2_000;

/** Aborts the call at the job's deadline. Returns the function that cancels this. */
function expireAt({ clock, timers }: WorkerContext, call: RunningCall, expiresAt: number): () => void {
  let cancel = timers.after(expiresAt - clock.wall(), () => {
    if (clock.wall() - expiresAt < wakingMs) call.abort("expired");
    else cancel = timers.after(wakingMs, () => call.abort("expired"));
  });
  return () => cancel();
}

function failureOf({ log }: WorkerContext, { job }: Begun, error: unknown): ProviderFailure {
  if (error instanceof ProviderError) return error.failure;
  log.error({ err: error, jobId: job.id }, "caught an unexpected error from a provider");
  const message = "The call failed inside the service; its log has the details.";
  return { kind: "transient", code: "internal", message, maybeBilled: true };
}

function failureDisposition(
  context: WorkerContext,
  call: RunningCall,
  begun: Begun,
  failure: ProviderFailure,
): Disposition {
  const policy = { ...context.settings.worker, random: context.random };
  // What the provider said before the abort is known.
  return call.cause === undefined || failure.kind !== "aborted"
    ? dispositionOf(failure, begun, policy)
    : dispositionOfAbort(call.cause, begun, failure, policy);
}
