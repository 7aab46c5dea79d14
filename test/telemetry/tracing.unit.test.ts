// Spans: parents, links, sampling, and the names of attributes.
import { AlwaysOffSampler, ParentBasedSampler } from "@opentelemetry/sdk-trace-base";
import { expect, test } from "vitest";
import { genAiNames } from "../../src/telemetry/span-names.ts";
import { recordingTracing } from "./recorded-spans.ts";

const traceId = "0af7651916cd43dd8448eb211c80319c";
const spanId = "b7ad6b7169203331";
const sampled = { traceparent: `00-${traceId}-${spanId}-01`, tracestate: "a=1" };
const notSampled = { traceparent: `00-${traceId}-${spanId}-00` };
const startedAt = Date.UTC(2026, 11, 1) + 0.5;
const about = { name: "queue", kind: "internal", startedAt } as const;

test("a child continues the trace of its parent, and keeps its state", () => {
  const tracing = recordingTracing();
  const span = tracing.startSpan({ ...about, parent: sampled });
  span.set({ a: 1, none: undefined });
  span.event("waited", startedAt + 1, { b: "2" });
  span.end(startedAt + 1500.25, "internal");
  const [recorded] = tracing.spans();
  expect(recorded).toMatchObject({ traceId, parentId: spanId, attributes: { a: 1 }, failure: "internal" });
  expect(recorded).toMatchObject({ events: [{ name: "waited", attributes: { b: "2" } }] });
  expect(recorded!.durationMs).toBeCloseTo(1500.25, 3);
  expect(span.context).toEqual({ traceparent: `00-${traceId}-${recorded!.spanId}-01`, tracestate: "a=1" });
});

test("a linked span begins a trace of its own", () => {
  const tracing = recordingTracing();
  const span = tracing.startSpan({ ...about, links: [sampled] });
  span.end(startedAt);
  const [recorded] = tracing.spans();
  expect(recorded).toMatchObject({ parentId: undefined, links: [spanId] });
  expect(recorded!.traceId).not.toBe(traceId);
});

test("neither a child nor a linked span of a trace that is not sampled is recorded, and nor is what follows", () => {
  const tracing = recordingTracing();
  for (const span of [
    tracing.startSpan({ ...about, parent: notSampled }),
    tracing.startSpan({ ...about, links: [notSampled] }),
  ]) {
    expect(span.recording).toBe(false);
    span.set({ a: 1 });
    span.event("waited", startedAt);
    span.end(startedAt);
    expect(span.context.traceparent).toMatch(/-00$/);
    tracing.startSpan({ ...about, parent: span.context }).end(startedAt);
  }
  expect(tracing.spans()).toEqual([]);
});

test("a linked span of a sampled trace is recorded although the sampler would begin no trace", () => {
  const tracing = recordingTracing({ sampler: new ParentBasedSampler({ root: new AlwaysOffSampler() }) });
  tracing.startSpan(about).end(startedAt);
  expect(tracing.spans()).toEqual([]);
  tracing.startSpan({ ...about, links: [sampled] }).end(startedAt);
  expect(tracing.spans()).toHaveLength(1);
});

test("the variable chooses the names of the conventions for generative AI", () => {
  expect(genAiNames(undefined).cacheWriteTokens).toBe("gen_ai.usage.cache_creation.input_tokens");
  expect(genAiNames("http, gen_ai_latest_experimental").cacheWriteTokens).toBe("gen_ai.usage.cache_write.input_tokens");
  expect(genAiNames("http").provider).toBe("gen_ai.provider.name");
});
