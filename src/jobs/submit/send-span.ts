// Records the acceptance of a job or a batch as a span. What is accepted carries the context of that span, so that its
// calls continue the trace after any time and in any process.
import { SluiceError } from "../../domain/errors.ts";
import type { TraceContext } from "../../domain/trace-context.ts";
import { messaging, sendSpan, sluice } from "../../telemetry/span-names.ts";
import type { SpanAttributes } from "../../telemetry/tracing.ts";
import type { JobsContext } from "../jobs-context.ts";

/** What becomes a job or a batch: an object that carries a trace. */
interface Traced {
  id: string;
  environment: string;
  tenant: string;
  trace?: TraceContext;
  linkedTrace?: TraceContext;
}

/**
 * Accepts something in a span that continues its trace, and returns what `accept` returns. Without tracing, it only
 * calls `accept`.
 * @param sent a job or a batch
 * @param startedAt when its request arrived, in milliseconds since the epoch
 * @param accept called with the same, which then carries the context of the span
 */
export async function inSendSpan<Sent extends Traced, Result>(
  { tracing, clock }: Pick<JobsContext, "tracing" | "clock">,
  sent: Sent,
  startedAt: number,
  attributesOf: (sent: Sent) => SpanAttributes,
  accept: (sent: Sent) => Promise<Result>,
): Promise<Result> {
  if (!tracing) return accept(sent);
  const { id, environment, tenant, trace, linkedTrace } = sent;
  const span = tracing.startSpan({
    name: sendSpan(environment),
    kind: "producer",
    startedAt,
    parent: trace,
    ...(linkedTrace && { links: [linkedTrace] }),
  });
  if (span.recording) {
    span.set({
      [messaging.system]: "sluice",
      [messaging.operation]: "send",
      [messaging.operationType]: "send",
      [messaging.destination]: environment,
      [messaging.messageId]: id,
      [sluice.environment]: environment,
      [sluice.tenant]: tenant,
      ...attributesOf(sent),
    });
  }
  try {
    const result = await accept({ ...sent, trace: span.context });
    span.end(clock.wall());
    return result;
  } catch (error) {
    span.end(clock.wall(), error instanceof SluiceError ? error.code : "internal");
    throw error;
  }
}

/** Returns the attributes of a job's span. */
export function jobAttributes(job: { id: string; priority: string; model: string; retryOf?: string }): SpanAttributes {
  return {
    [sluice.jobId]: job.id,
    [sluice.priority]: job.priority,
    [sluice.model]: job.model,
    [sluice.retryOf]: job.retryOf,
  };
}
