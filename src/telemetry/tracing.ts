// Records spans. This is the only file that imports OpenTelemetry's API. The rest of Sluice knows these interfaces only,
// and has no `Tracing` at all while tracing is off.
import {
  type Attributes,
  type Context,
  createTraceState,
  type Link,
  type Span as OtelSpan,
  ROOT_CONTEXT,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import type { TraceContext } from "../domain/trace-context.ts";
import type { GenAiNames } from "./span-names.ts";

/** Values of a span's attributes by name. Undefined values are omitted. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;

/** A span that begins. Times are in milliseconds since the epoch. */
export interface NewSpan {
  name: string;
  kind: "producer" | "client" | "internal";
  startedAt: number;
  /** The span that it is a child of. Absent: it begins a trace of its own. */
  parent?: TraceContext | undefined;
  /** Traces that it is linked to. The first one decides whether a span without a parent is sampled. */
  links?: readonly TraceContext[];
}

/** A span that has begun. After `end`, nothing changes it. */
export interface Span {
  /** Where the span is in its trace, for what it leads to. */
  readonly context: TraceContext;
  /** Whether the span is sampled. If not, attributes and events are ignored, so there is no need to collect them. */
  readonly recording: boolean;
  set(attributes: SpanAttributes): void;
  /** @param at milliseconds since the epoch */
  event(name: string, at: number, attributes?: SpanAttributes): void;
  /**
   * Ends the span.
   * @param at milliseconds since the epoch
   * @param failure code of the error that it failed with. Default: it did not fail
   */
  end(at: number, failure?: string): void;
}

/** Records the spans of one process. */
export interface Tracing {
  /** Names of the attributes of a call. */
  readonly genAi: GenAiNames;
  startSpan(span: NewSpan): Span;
}

/** What `createTracing` needs of an SDK. */
export interface Tracers {
  /** Samples as the operator configured it. */
  configured: Tracer;
  /** Samples every span. */
  always: Tracer;
  /** Whether a parent's sampling decision applies to its children, and so to spans that are linked to it. */
  parentBased: boolean;
}

const kinds = { producer: SpanKind.PRODUCER, client: SpanKind.CLIENT, internal: SpanKind.INTERNAL };

/** Creates a tracing that records its spans with these tracers. */
export function createTracing({ configured, always, parentBased }: Tracers, genAi: GenAiNames): Tracing {
  return {
    genAi,
    startSpan({ name, kind, startedAt, parent, links = [] }) {
      const linked = links.map(spanContextOf);
      // A sampler knows only parents, but a linked span has to follow the decision for the trace that it belongs to.
      const decided = parentBased && parent === undefined ? linked[0] : undefined;
      if (decided && !isSampled(decided)) return unsampled(links[0]!);
      const options = {
        kind: kinds[kind],
        startTime: timeOf(startedAt),
        links: linked.map((context): Link => ({ context })),
      };
      const tracer = decided ? always : configured;
      return spanOf(tracer.startSpan(name, options, parent ? contextOf(parent) : ROOT_CONTEXT));
    },
  };
}

function spanOf(span: OtelSpan): Span {
  return {
    context: traceContextOf(span.spanContext()),
    recording: span.isRecording(),
    set: (attributes) => void span.setAttributes(attributes as Attributes),
    event: (name, at, attributes) => void span.addEvent(name, attributes as Attributes | undefined, timeOf(at)),
    end(at, failure) {
      // No message: a provider's words may repeat parts of the prompt.
      if (failure !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: failure });
      span.end(timeOf(at));
    },
  };
}

/** Returns a span that records nothing. What it leads to continues the given trace, and is not sampled either. */
function unsampled(context: TraceContext): Span {
  return { context, recording: false, set() {}, event() {}, end() {} };
}

function contextOf(parent: TraceContext): Context {
  return trace.setSpanContext(ROOT_CONTEXT, spanContextOf(parent));
}

function spanContextOf({ traceparent, tracestate }: TraceContext): SpanContext {
  const [, traceId = "", spanId = "", flags = "0"] = traceparent.split("-");
  const traceState = tracestate === undefined ? undefined : createTraceState(tracestate);
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true, ...(traceState && { traceState }) };
}

function traceContextOf({ traceId, spanId, traceFlags, traceState }: SpanContext): TraceContext {
  const traceparent = `00-${traceId}-${spanId}-0${traceFlags & 1}`;
  const tracestate = traceState?.serialize();
  return { traceparent, ...(tracestate && { tracestate }) };
}

function isSampled({ traceFlags }: SpanContext): boolean {
  return (traceFlags & 1) === 1;
}

/** Returns a time as seconds and nanoseconds. As a number, OpenTelemetry would take a small one for an uptime. */
function timeOf(ms: number): [number, number] {
  const seconds = Math.floor(ms / 1000);
  return [seconds, Math.round((ms - seconds * 1000) * 1e6)];
}
