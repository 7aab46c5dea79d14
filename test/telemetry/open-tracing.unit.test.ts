// When the standard variables of OpenTelemetry switch tracing on.
import { expect, onTestFinished, test, vi } from "vitest";
import { exportersOf, openTracing } from "../../src/telemetry/open-tracing.ts";

const endpoint = "http://127.0.0.1:4318";

test.each<[string, Record<string, string>, string[]]>([
  ["nothing", {}, []],
  ["an endpoint", { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint }, ["otlp"]],
  ["an endpoint for traces", { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${endpoint}/v1/traces` }, ["otlp"]],
  ["an exporter", { OTEL_TRACES_EXPORTER: "otlp, console" }, ["otlp", "console"]],
  ["an endpoint, but no exporter", { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_TRACES_EXPORTER: "none" }, []],
  ["a disabled SDK", { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_SDK_DISABLED: "TRUE" }, []],
  ["empty variables", { OTEL_EXPORTER_OTLP_ENDPOINT: "", OTEL_TRACES_EXPORTER: "" }, []],
])("%s", (_what, env, exporters) => {
  expect(exportersOf(env)).toEqual(exporters);
});

test.each<[string, Record<string, string>, string]>([
  [
    "an exporter that does not exist",
    { OTEL_TRACES_EXPORTER: "zipkin" },
    'OTEL_TRACES_EXPORTER must be otlp, console or none; got "zipkin"',
  ],
  [
    "a protocol that Sluice does not have",
    { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" },
    'OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf or http/json; got "grpc". Collectors accept both on port 4318',
  ],
  [
    "an endpoint that is no address",
    { OTEL_EXPORTER_OTLP_ENDPOINT: "not-a-url" },
    "OTEL_EXPORTER_OTLP_ENDPOINT must be an address that starts with http:// or https://, such as http://127.0.0.1:4318",
  ],
  [
    "an endpoint for traces without a scheme",
    { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "user:hunter2@collector:4318" },
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT must be an address that starts with http:// or https://, such as http://127.0.0.1:4318",
  ],
])("%s: a warning, and the service starts", async (_what, env, reason) => {
  const warnings: unknown[] = [];
  const log = { warn: (...entry: unknown[]) => void warnings.push(entry) };
  expect(await openTracing({ env, version: "1.0.0", log })).toBeUndefined();
  expect(warnings).toEqual([[{ reason }, "failed to switch on tracing"]]);
});

test("a sampler that does not exist: a warning about the setting, and the default applies", async () => {
  onTestFinished(() => void vi.unstubAllEnvs());
  // The SDK reads the variables of the process.
  vi.stubEnv("OTEL_TRACES_SAMPLER", "nope");
  const warnings: unknown[][] = [];
  const log = { warn: (...entry: unknown[]) => void warnings.push(entry) };
  const traces = await openTracing({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint }, version: "1.0.0", log });
  onTestFinished(() => traces?.close());
  expect(traces?.exporters).toEqual(["otlp"]);
  const reason = expect.stringMatching(/^OTEL_TRACES_SAMPLER value "nope" invalid, defaulting to/);
  expect(warnings).toEqual([[{ reason }, "found an invalid tracing setting"]]);
});
