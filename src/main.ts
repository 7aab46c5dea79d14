// The composition root: opens the store, wires the adapters together, starts worker and HTTP, and takes it all down
// again in the order in which nothing is lost.
import type { AddressInfo } from "node:net";
import { hostname } from "node:os";
import { type Logger, pino } from "pino";
import { schedulerConfigOf } from "./config/scheduler-config.ts";
import type { DeploymentSettings, ModelSettings, Settings } from "./config/settings.ts";
import { type Clock, systemClock } from "./domain/clock.ts";
import { createMemoryEventBus } from "./events/memory/memory-event-bus.ts";
import { createHttpServer } from "./http/server.ts";
import { createTokenCounter } from "./jobs/token-counter.ts";
import { createBedrockProvider } from "./providers/bedrock/bedrock-provider.ts";
import type { Provider } from "./providers/provider.ts";
import { createMemoryScheduler } from "./scheduler/memory/memory-scheduler.ts";
import { type Simulator, startSimulator } from "./simulator/simulator.ts";
import { openSqliteStore } from "./store/sqlite/sqlite-store.ts";
import type { WorkerContext } from "./worker/context.ts";
import { saveLearnedLimits } from "./worker/learned-limits.ts";
import { createPricer } from "./worker/pricer.ts";
import { startReconciler } from "./worker/reconciler.ts";
import { recover } from "./worker/recovery.ts";
import { repeat, systemTimers } from "./worker/timers.ts";
import { createWorker } from "./worker/worker.ts";

export interface Service {
  /** Where HTTP answers, with the port that was really taken. */
  url: string;
  /** The address of the built-in simulator, if it answers in place of Bedrock. */
  simulatorUrl?: string;
  /**
   * Accepts nothing more, lets running calls end (`worker.drainMs`), hands back the rest, and lets go of the data
   * folder. Resolves when all of that is on record.
   */
  stop(): Promise<void>;
}

export interface StartOptions {
  clock?: Clock;
  log?: Logger;
  /** Uniform in [0, 1). */
  random?: () => number;
  /** In place of the adapters that the deployments name. */
  createProvider?: (deployment: DeploymentSettings) => Provider;
}

const checkpointMs = 10_000;

/**
 * Starts the whole service. The queue is rebuilt from the store while HTTP already accepts; `/readyz` tells when it is.
 * @throws if the data folder is in use, the address is taken, or anything else cannot be opened; then all is closed.
 */
export async function startService(settings: Settings, options: StartOptions = {}): Promise<Service> {
  const { clock = systemClock, log = pino({ level: settings.logLevel }), random = Math.random } = options;
  /** What was opened, to be closed in the opposite order. */
  const opened: (() => Promise<unknown>)[] = [];
  const closeAll = async () => {
    for (let close = opened.pop(); close; close = opened.pop()) {
      await close().catch((error) => log.error({ err: error }, "something could not be closed"));
    }
  };

  try {
    const store = await openSqliteStore({ dataDir: settings.dataDir, environments: settings.environments });
    opened.push(() => store.close());
    const scheduler = createMemoryScheduler({ config: schedulerConfigOf(settings), clock });
    opened.push(() => scheduler.close());
    const events = createMemoryEventBus({
      onListenerError: (error) => log.error({ err: error }, "a listener of job events failed"),
    });
    opened.push(() => events.close());
    const tokenCounter = createTokenCounter();
    opened.push(() => tokenCounter.close());
    const simulator = settings.simulator ? await startSimulator({}) : undefined;
    if (simulator) opened.push(() => simulator.stop());
    const providers = new Map<string, Provider>();
    for (const model of Object.values(settings.models)) {
      for (const deployment of model.deployments) {
        const provider =
          options.createProvider?.(deployment) ?? bedrockProvider(settings, model, deployment, clock, simulator);
        providers.set(deployment.id, provider);
        opened.push(() => provider.close());
      }
    }

    const context: WorkerContext = {
      settings,
      store,
      scheduler,
      events,
      tokenCounter,
      clock,
      log,
      timers: systemTimers,
      random,
      workerId: `${hostname()}/${process.pid}`,
      providers,
    };
    const pricer = createPricer(context);
    opened.push(() => pricer.idle());
    const worker = createWorker(context, {
      rebuild: (giveUp) => recover(context, worker.renewLeases, giveUp),
      onWaiting: pricer.price,
    });
    const http = createHttpServer(context);
    await http.listen({ host: settings.host, port: settings.port });
    // Last opened, so first to close: from here on nothing new is accepted, and nothing new is started.
    opened.push(async () => {
      await Promise.all([http.close(), worker.stop()]);
      await saveLearnedLimits(context);
    });
    worker.start();
    opened.push(startReconciler(context));
    opened.push(
      repeat(
        context.timers,
        checkpointMs,
        () => saveLearnedLimits(context),
        (error) => log.warn({ err: error }, "what was learned about quotas could not be saved"),
      ),
    );

    const { port } = http.server.address() as AddressInfo;
    const host = settings.host.includes(":") ? `[${settings.host}]` : settings.host;
    let stopping: Promise<void> | undefined;
    return {
      url: `http://${host}:${port}`,
      ...(simulator && { simulatorUrl: simulator.url }),
      stop() {
        stopping ??= closeAll();
        return stopping;
      },
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

function bedrockProvider(
  settings: Settings,
  model: ModelSettings,
  deployment: DeploymentSettings,
  clock: Clock,
  simulator: Simulator | undefined,
): Provider {
  const { region, modelId, streaming, maxConcurrency } = deployment;
  const endpoint = simulator?.url ?? deployment.endpoint;
  return createBedrockProvider({
    region,
    modelId,
    streaming,
    timeouts: settings.timeouts,
    maxSockets: maxConcurrency,
    clock,
    ...(endpoint !== undefined && { endpoint }),
    // The simulator wants a signature, but anybody's.
    ...(simulator && { credentials: { accessKeyId: "simulator", secretAccessKey: "simulator" } }),
    ...(model.alternative !== undefined && { alternative: model.alternative }),
  });
}
