// Sending spans to a collector: what arrives, and a collector that never answers.
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import { openTracing } from "../../src/telemetry/open-tracing.ts";
import { startOtlpReceiver } from "./otlp-receiver.ts";

afterEach(() => vi.unstubAllEnvs());

const span = { name: "send UAT", kind: "producer", startedAt: Date.now() } as const;

/** Switches tracing on by the variables of the process, which the SDK reads itself. */
async function open(endpoint: string, flushMs?: number, more: Record<string, string> = {}) {
  const variables = { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: "http/json", ...more };
  for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value);
  const options = { env: process.env, version: "1.2.3", log: { warn: () => {} } };
  return (await openTracing({ ...options, ...(flushMs !== undefined && { flushMs }) }))!;
}

test("a close sends what is buffered, with the resource that the variables describe", async () => {
  const collector = await startOtlpReceiver();
  onTestFinished(() => collector.close());
  const traces = await open(collector.url, undefined, {
    OTEL_SERVICE_NAME: "queue",
    OTEL_RESOURCE_ATTRIBUTES: "team=search",
  });
  traces.tracing.startSpan(span).end(Date.now());
  await traces.close();
  expect(collector.spans()).toMatchObject([
    { name: "send UAT", resource: { "service.name": "queue", "service.version": "1.2.3", team: "search" } },
  ]);
});

test("OTEL_TRACES_SAMPLER decides about traces without a parent", async () => {
  const collector = await startOtlpReceiver();
  onTestFinished(() => collector.close());
  const traces = await open(collector.url, undefined, { OTEL_TRACES_SAMPLER: "parentbased_always_off" });
  traces.tracing.startSpan(span).end(Date.now());
  const parent = { traceparent: `00-${"a".repeat(32)}-${"b".repeat(16)}-01` };
  traces.tracing.startSpan({ ...span, parent }).end(Date.now());
  traces.tracing.startSpan({ ...span, links: [parent] }).end(Date.now());
  await traces.close();
  expect(collector.spans()).toHaveLength(2);
});

test("a collector that never answers does not hold up a close", async () => {
  const silent = createServer((request) => void request.resume()).listen(0, "127.0.0.1");
  await once(silent, "listening");
  onTestFinished(() => {
    silent.closeAllConnections();
    silent.close();
  });
  const traces = await open(`http://127.0.0.1:${(silent.address() as AddressInfo).port}`, 20);
  traces.tracing.startSpan(span).end(Date.now());
  await traces.close();
});
