// The whole service within this process, with a provider that answers at once and hooks where a benchmark looks.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import type { FileQuota } from "../../src/config/config-schema.ts";
import { schedulerConfigOf } from "../../src/config/scheduler-config.ts";
import type { Settings } from "../../src/config/settings.ts";
import { systemClock } from "../../src/domain/clock.ts";
import { newJobId } from "../../src/domain/ids.ts";
import type { Job } from "../../src/domain/job.ts";
import { createMemoryEventBus } from "../../src/events/memory/memory-event-bus.ts";
import { StartSamples } from "../../src/jobs/read/start-samples.ts";
import { createTokenCounter } from "../../src/jobs/tokens/token-counter.ts";
import type { Provider, ProviderCall } from "../../src/providers/provider.ts";
import { createMemoryScheduler } from "../../src/scheduler/memory/memory-scheduler.ts";
import { startMeasurement } from "../../src/service/measurement.ts";
import { Teardown } from "../../src/service/teardown.ts";
import { withLargeTexts } from "../../src/store/large-texts.ts";
import { measuredStore } from "../../src/store/measured-store.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import type { Tracing } from "../../src/telemetry/tracing.ts";
import { recover } from "../../src/worker/recovery/recovery.ts";
import { systemTimers } from "../../src/worker/timers.ts";
import { createWorker, type Worker } from "../../src/worker/worker.ts";
import type { WorkerContext } from "../../src/worker/worker-context.ts";
import { serviceSettings } from "./service-settings.ts";

export interface Embedded {
  context: WorkerContext;
  worker: Worker;
  close(): Promise<void>;
}

export interface EmbeddedOptions {
  quotas: FileQuota[];
  concurrency: number;
  /** Default: tracing is off. */
  tracing?: Tracing;
  /** Called with every call, which is then answered at once. */
  onCall?: (call: ProviderCall) => void;
  /** Whether everything is measured, as in the service, and scraped at the start and every 15 s. Default: false. */
  metrics?: boolean;
  /** Called with the number of writes of every commit. */
  onCommit?: (writes: number) => void;
}

function settingsFor({ quotas, concurrency }: EmbeddedOptions, dataDir: string): Settings {
  const deployment = { region: "us-east-1", modelId: "us.meta.llama3-3-70b-instruct-v1:0" };
  const models = {
    llama: { maxOutputTokens: 100, deployments: [{ ...deployment, maxConcurrency: concurrency, quotas }] },
  };
  return serviceSettings({ models, worker: { concurrency } }, dataDir);
}

/** The worker has not been started. */
export async function openEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-bench-"));
  const settings = settingsFor(options, dataDir);
  const measured = options.metrics ? measure(settings) : undefined;
  const opened = await openSqliteStore({
    ...{ dataDir, environments: settings.environments },
    onCommit: (writes) => {
      options.onCommit?.(writes);
      measured?.metrics.storeCommitted(writes);
    },
  });
  const timed = measured ? measuredStore(opened, systemClock, measured.metrics.storeAnswered) : opened;
  const store = withLargeTexts(timed, { clock: systemClock, environments: Object.keys(settings.environments) });
  const scheduler = createMemoryScheduler({ config: schedulerConfigOf(settings), clock: systemClock });
  const tokenCounter = createTokenCounter();
  const events = createMemoryEventBus();
  const log = pino({ level: "warn" });
  measured?.observe({ store, scheduler, clock: systemClock, log });
  const context: WorkerContext = {
    settings,
    store,
    scheduler,
    events,
    tokenCounter,
    ...(options.tracing && { tracing: options.tracing }),
    clock: systemClock,
    timers: systemTimers,
    log,
    ...(measured && {
      metrics: measured.metrics,
      startSamples: new StartSamples({ scheduler, events, clock: systemClock, metrics: measured.metrics, log }),
    }),
    random: Math.random,
    workerId: "bench",
    providers: new Map(
      Object.values(settings.models).flatMap((m) => m.deployments.map((d) => [d.id, instantProvider(options.onCall)])),
    ),
  };
  const worker = createWorker(context, {
    rebuild: (giveUp) => recover(context, worker.renewLeases, giveUp),
    onWaiting: () => {},
    onAcquired: () => {},
  });
  return {
    context,
    worker,
    async close() {
      await worker.stop();
      await measured?.stop();
      await Promise.all([scheduler.close(), tokenCounter.close(), store.close()]);
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** Prometheus' own default. */
const scrapeEachMs = 15_000;

/** Starts to measure, and scrapes. */
function measure(settings: Settings) {
  const teardown = new Teardown(pino({ level: "warn" }));
  const measurement = startMeasurement(settings, teardown)!;
  const scrape = () => void measurement.scrape("prometheus");
  setImmediate(scrape);
  const scrapes = setInterval(scrape, scrapeEachMs);
  teardown.defer(() => clearInterval(scrapes));
  return { ...measurement, stop: () => teardown.run() };
}

export function instantProvider(onCall?: EmbeddedOptions["onCall"]): Provider {
  return {
    async call(call) {
      onCall?.(call);
      return { text: "An answer.", toolCalls: [], finishReason: "stop", usage: { input: 10, output: 3 } };
    },
    async close() {},
  };
}

export function makeJobs(count: number, environment = "UAT"): Job[] {
  return Array.from({ length: count }, (_, i) => ({
    id: newJobId(),
    environment,
    tenant: "default",
    priority: "standard",
    model: "llama",
    fallbackModels: [],
    tokens: { input: 20, output: 100 },
    submittedAt: Date.now(),
    onUnknown: "retry",
    request: {
      messages: [{ role: "user", content: [{ type: "text", text: `Write a line about the number ${i}.` }] }],
      parameters: { maxTokens: 100 },
    },
  }));
}
