// Which trace contexts of submitters are kept.
import { expect, test } from "vitest";
import { traceContextOf } from "../../src/domain/trace-context.ts";

const traceId = "0af7651916cd43dd8448eb211c80319c";
const spanId = "b7ad6b7169203331";
const traceparent = `00-${traceId}-${spanId}-01`;

test.each([
  ["a sampled one", traceparent, traceparent],
  ["one that is not sampled", `00-${traceId}-${spanId}-00`, `00-${traceId}-${spanId}-00`],
  ["flags of later versions", `00-${traceId}-${spanId}-ff`, traceparent],
  ["a later version with more fields", `cc-${traceId}-${spanId}-01-what-comes`, traceparent],
])("keeps %s", (_what, header, kept) => {
  expect(traceContextOf(header, undefined)).toEqual({ traceparent: kept });
});

test.each([
  ["none", undefined],
  ["a list", [traceparent]],
  ["the empty text", ""],
  ["capitals", traceparent.toUpperCase()],
  ["a trace of zeros", `00-${"0".repeat(32)}-${spanId}-01`],
  ["a span of zeros", `00-${traceId}-${"0".repeat(16)}-01`],
  ["the forbidden version", `ff-${traceId}-${spanId}-01`],
  ["more fields in this version", `${traceparent}-more`],
  ["two headers", `${traceparent}, ${traceparent}`],
  ["something endless", `cc-${traceId}-${spanId}-01-${"x".repeat(1000)}`],
])("ignores %s", (_what, header) => {
  expect(traceContextOf(header, "a=1")).toBeUndefined();
});

test.each([
  ["one entry", "congo=t61rcWkgMzE", "congo=t61rcWkgMzE"],
  ["several, with spaces and empty ones", "a=1 , ,b@c= 2", "a=1,b@c= 2"],
  ["the longest", `a=${"x".repeat(256)},b=${"y".repeat(251)}`, `a=${"x".repeat(256)},b=${"y".repeat(251)}`],
])("keeps a state: %s", (_what, header, kept) => {
  expect(traceContextOf(traceparent, header)).toEqual({ traceparent, tracestate: kept });
});

test.each([
  ["longer than 512 characters", `a=${"x".repeat(256)},b=${"y".repeat(252)}`],
  ["without a value", "a"],
  ["a key of capitals", "A=1"],
  ["a line break", "a=1\nb=2"],
  ["twice the same key", "a=1,a=2"],
  ["33 entries", Array.from({ length: 33 }, (_, i) => `k${i}=1`).join(",")],
  ["nothing but commas", " , "],
])("ignores a state: %s", (_what, header) => {
  expect(traceContextOf(traceparent, header)).toEqual({ traceparent });
});
