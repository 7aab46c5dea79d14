// Tracing whose spans a test reads.
import {
  AlwaysOnSampler,
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  type Sampler,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { genAiNames } from "../../src/telemetry/span-names.ts";
import { createTracing, type Tracing } from "../../src/telemetry/tracing.ts";

export interface RecordedSpan {
  name: string;
  kind: number;
  /** Ids of the span, its trace and its parent. */
  spanId: string;
  traceId: string;
  parentId: string | undefined;
  attributes: Record<string, unknown>;
  /** Ids of the linked spans. */
  links: string[];
  events: { name: string; attributes: Record<string, unknown> }[];
  /** Code of the error that the span ended with. */
  failure: string | undefined;
  durationMs: number;
}

export interface RecordingTracing extends Tracing {
  /** All spans that have ended, in the order of their ends. */
  spans(): RecordedSpan[];
  named(name: string): RecordedSpan[];
}

/** @param sampler Default: that of the SDK, which follows the parent */
export function recordingTracing({ sampler, optIn }: { sampler?: Sampler; optIn?: string } = {}): RecordingTracing {
  const exporter = new InMemorySpanExporter();
  const spanProcessors = [new SimpleSpanProcessor(exporter)];
  const configured = new BasicTracerProvider({ spanProcessors, ...(sampler && { sampler }) });
  const always = new BasicTracerProvider({ spanProcessors, sampler: new AlwaysOnSampler() });
  const tracers = { configured: configured.getTracer("test"), always: always.getTracer("test"), parentBased: true };
  const spans = () => exporter.getFinishedSpans().map(recorded);
  return {
    ...createTracing(tracers, genAiNames(optIn)),
    spans,
    named: (name) => spans().filter((span) => span.name === name),
  };
}

function recorded(span: ReadableSpan): RecordedSpan {
  const { traceId, spanId } = span.spanContext();
  return {
    name: span.name,
    kind: span.kind,
    spanId,
    traceId,
    parentId: span.parentSpanContext?.spanId,
    attributes: span.attributes,
    links: span.links.map(({ context }) => context.spanId),
    events: span.events.map(({ name, attributes = {} }) => ({ name, attributes })),
    failure: span.status.message,
    durationMs: span.duration[0] * 1000 + span.duration[1] / 1e6,
  };
}
