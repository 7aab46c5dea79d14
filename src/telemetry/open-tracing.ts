// Switches tracing on if the standard variables of OpenTelemetry ask for it. Only then are its libraries loaded: they
// cost 16 MB of memory and a tenth of a second, and the SDK is an optional dependency. Sluice starts in any case.
import type { SpanExporter } from "@opentelemetry/sdk-trace-base";
import type { Logger } from "pino";
import { genAiNames } from "./span-names.ts";
import type { Tracers, Tracing } from "./tracing.ts";

/** What tracing needs of its process. */
export interface TracingOptions {
  env: Readonly<Record<string, string | undefined>>;
  /** Value of `service.version`. */
  version: string;
  log: Pick<Logger, "warn">;
  /** Longest wait for the last spans to be sent, in milliseconds. Default: 3,000. */
  flushMs?: number;
}

/** Tracing that is switched on. */
export interface OpenTracing {
  tracing: Tracing;
  /** Where spans go: `otlp`, `console`, or both. */
  exporters: string[];
  /** Sends what is buffered, for up to `flushMs`, and stops. Never rejects. */
  close(): Promise<void>;
}

/** Shortest time between two warnings about spans that were not sent, in milliseconds. */
const warnEachMs = 60_000;
const defaultServiceName = "sluice";

/** Whether the variables ask for traces, and with which exporters. */
export function exportersOf(env: TracingOptions["env"]): string[] {
  if (env.OTEL_SDK_DISABLED?.trim().toLowerCase() === "true") return [];
  const asked = namesIn(env.OTEL_TRACES_EXPORTER);
  if (asked.length > 0) return asked.filter((name) => name !== "none");
  return env.OTEL_EXPORTER_OTLP_ENDPOINT || env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ? ["otlp"] : [];
}

/**
 * Switches tracing on. Returns undefined if the variables do not ask for it, or if it is impossible; then it warns and
 * changes nothing.
 */
export async function openTracing(options: TracingOptions): Promise<OpenTracing | undefined> {
  const { env, log } = options;
  const asked = exportersOf(env);
  if (asked.length === 0) return undefined;
  try {
    const { diag, DiagLogLevel } = await import("@opentelemetry/api");
    const level = { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true };
    // The SDK reads its variables while it is set up, some of them several times.
    diag.setLogger(settingsLogger(log), level);
    const exporters = await Promise.all(asked.map((name) => createExporter(name, env)));
    const opened = await start(exporters, options);
    diag.setLogger(quietLogger(warnOfSpans(log)), level);
    return { ...opened, exporters: asked };
  } catch (error) {
    const advice = isMissing(error) ? { advice: howToInstall } : {};
    log.warn({ reason: (error as Error).message, ...advice }, "failed to switch on tracing");
    return undefined;
  }
}

function warnOfSpans(log: TracingOptions["log"]) {
  return (reason: string) => log.warn({ reason }, "failed to send spans");
}

async function start(exporters: SpanExporter[], { env, version, log, flushMs = 3_000 }: TracingOptions) {
  const warn = warnOfSpans(log);
  const [{ createTracing }, { diag }, sdk, resources] = await Promise.all([
    import("./tracing.ts"),
    import("@opentelemetry/api"),
    import("@opentelemetry/sdk-trace-base"),
    import("@opentelemetry/resources"),
  ]);
  const own = { "service.name": defaultServiceName, "service.version": version };
  const resource = resources
    .defaultResource()
    .merge(resources.resourceFromAttributes(own))
    .merge(resources.detectResources({ detectors: [resources.envDetector] }));
  const spanProcessors = exporters.map((exporter) => new sdk.BatchSpanProcessor(exporter));
  const configured = new sdk.BasicTracerProvider({ resource, spanProcessors });
  const always = new sdk.BasicTracerProvider({ resource, spanProcessors, sampler: new sdk.AlwaysOnSampler() });
  const tracers: Tracers = {
    configured: configured.getTracer("sluice", version),
    always: always.getTracer("sluice", version),
    parentBased: (env.OTEL_TRACES_SAMPLER?.trim() || "parentbased_always_on").startsWith("parentbased"),
  };
  return {
    tracing: createTracing(tracers, genAiNames(env.OTEL_SEMCONV_STABILITY_OPT_IN)),
    async close() {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, flushMs);
      });
      await Promise.race([configured.shutdown().catch((error) => warn(String(error))), late]);
      clearTimeout(timer);
      diag.disable();
    },
  };
}

/** @throws Error with a sentence, for an exporter or a protocol that Sluice does not have, and for a bad endpoint */
async function createExporter(name: string, env: TracingOptions["env"]): Promise<SpanExporter> {
  if (name === "console") return new (await import("@opentelemetry/sdk-trace-base")).ConsoleSpanExporter();
  if (name !== "otlp") {
    throw new Error(`OTEL_TRACES_EXPORTER must be otlp, console or none; got ${JSON.stringify(name)}`);
  }
  checkEndpoint(env);
  const asked = env.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL || env.OTEL_EXPORTER_OTLP_PROTOCOL;
  const protocol = asked?.trim() || "http/protobuf";
  switch (protocol) {
    case "http/protobuf":
      return new (await import("@opentelemetry/exporter-trace-otlp-proto")).OTLPTraceExporter();
    case "http/json":
      return new (await import("@opentelemetry/exporter-trace-otlp-http")).OTLPTraceExporter();
    default:
      throw new Error(
        `OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf or http/json; got ${JSON.stringify(protocol)}. ` +
          "Collectors accept both on port 4318",
      );
  }
}

/** The value is not shown, because it may hold a password. */
function checkEndpoint(env: TracingOptions["env"]): void {
  const names = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
  const name = names.find((each) => env[each]?.trim());
  if (name === undefined || /^https?:$/.test(URL.parse(env[name]!.trim())?.protocol ?? "")) return;
  throw new Error(`${name} must be an address that starts with http:// or https://, such as http://127.0.0.1:4318`);
}

const howToInstall = "Install the optional dependencies of Sluice: run npm ci without --omit=optional.";

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND";
}

/** Returns a logger for the SDK that passes on each different complaint once. */
function settingsLogger(log: TracingOptions["log"]) {
  const said = new Set<string>();
  return diagLogger((reason) => {
    if (!said.has(reason)) log.warn({ reason }, "found an invalid tracing setting");
    said.add(reason);
  });
}

/** Returns a logger for the SDK that passes on at most one complaint a minute. */
function quietLogger(warn: (reason: string) => void) {
  let quietUntil = 0;
  return diagLogger((reason) => {
    const now = performance.now();
    if (now < quietUntil) return;
    quietUntil = now + warnEachMs;
    warn(reason);
  });
}

function diagLogger(warn: (reason: string) => void) {
  const complain = (message: string) => warn(message.slice(0, 500));
  const ignore = () => {};
  return { error: complain, warn: complain, info: ignore, debug: ignore, verbose: ignore };
}

function namesIn(list: string | undefined): string[] {
  return (list ?? "")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
}
