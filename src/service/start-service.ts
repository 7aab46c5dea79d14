// The composition root: opens the backends, wires the adapters together, starts what the role asks for (HTTP, worker),
// and takes it all down again in the order in which nothing is lost.
import { existsSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { hostname } from "node:os";
import { join } from "node:path";
import type { Logger } from "pino";
import type { Environment } from "../config/environment.ts";
import { noticesOf } from "../config/lifecycle.ts";
import type { DeploymentSettings, Settings } from "../config/settings.ts";
import { version } from "../config/version.ts";
import { readAutoLimits } from "../discovery/auto-limits.ts";
import type { ApiKey } from "../domain/api-key.ts";
import { type Clock, systemClock } from "../domain/clock.ts";
import { isLoopback } from "../domain/networks.ts";
import { createHttpServer, type HttpContext } from "../http/server.ts";
import { beatMs, heartbeat } from "../jobs/callers/presence.ts";
import { WaitingCallers } from "../jobs/callers/waiting-callers.ts";
import { FileSpace } from "../jobs/file-space.ts";
import { allFiles, sweepLooseBlobs } from "../jobs/files/files.ts";
import type { JobsContext, ReloadReport } from "../jobs/jobs-context.ts";
import { type KeyRegistry, openKeyRegistry } from "../jobs/keys/key-registry.ts";
import { createFirstKey, type KeysContext } from "../jobs/keys/keys.ts";
import { Limits } from "../jobs/limits/limits.ts";
import { CallDurations } from "../jobs/read/durations.ts";
import { warmUsage } from "../jobs/read/usage-report.ts";
import { createTokenCounter } from "../jobs/tokens/token-counter.ts";
import { TokenRatios } from "../jobs/tokens/token-ratios.ts";
import { withinBounds } from "../providers/bounds.ts";
import type { Provider } from "../providers/provider.ts";
import { startSimulator } from "../simulator/simulator.ts";
import type { JobStore } from "../store/job-store.ts";
import { lineFormats } from "../wire/openai/line-formats.ts";
import { webhookBodies } from "../wire/webhook-resource.ts";
import { startBatchDriver } from "../worker/batches/batch-driver.ts";
import { startWork } from "../worker/start-work.ts";
import { repeat, systemTimers } from "../worker/timers.ts";
import { createUsageMeter, resumeTokenRatios, shareTokenRatios } from "../worker/token-usage.ts";
import { startDeliverer } from "../worker/webhooks/deliverer.ts";
import type { WorkerContext } from "../worker/worker-context.ts";
import { openQueue, openStore } from "./backends.ts";
import { anybodys, createProvider, simulatedModels } from "./deployment-providers.ts";
import { createLog } from "./log.ts";
import { logDeploymentChanges, openProviderPool } from "./provider-pool.ts";
import { createReload } from "./reload.ts";

export interface Service {
  /** Where HTTP answers, with the port that was really taken; absent if the role has none. */
  url?: string;
  /** The admin key that was made because there was none; see `createFirstKey`. To be shown once. */
  firstKey?: string;
  /** Why the queue could not be reached at the start; it is tried again by itself. */
  queueUnavailable?: string;
  /** The address of the built-in simulator, if it answers in place of Bedrock. */
  simulatorUrl?: string;
  /**
   * Reads the configuration again and puts in force what does not take a restart; absent without `readSettings`. Rejects
   * with SluiceError `config_invalid` or `unavailable`, and then leaves everything as it was.
   */
  reload?(): Promise<ReloadReport>;
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
  /** Where the keys of OpenAI-compatible servers are. By default the environment of this process. */
  env?: Environment;
  /** Reads the configuration again, for a reload. */
  readSettings?: () => Promise<Settings>;
  /** In place of the adapters that the deployments name. */
  createProvider?: (deployment: DeploymentSettings) => Provider;
}

const checkpointMs = 10_000;
const tidyMs = 10_000;
const callersMs = 1_000;
/** How often sums of usage are brought up to date where the service adds them up itself. */
const usageMs = 60_000;

/**
 * Starts what `settings.role` asks for. The queue is rebuilt from the store while HTTP already accepts; `/readyz` tells when it is.
 * @throws if the data folder is in use, the address is taken, or anything else cannot be opened; then all is closed.
 */
export async function startService(initial: Settings, options: StartOptions = {}): Promise<Service> {
  // Its own, because a reload changes it.
  const settings = { ...initial };
  const { clock = systemClock, log = createLog(settings.logLevel), random = Math.random, env = process.env } = options;
  /** What was opened, to be closed in the opposite order. */
  const opened: (() => Promise<unknown>)[] = [];
  const closeAll = async () => {
    for (let close = opened.pop(); close; close = opened.pop()) {
      await close().catch((error) => log.error({ err: error }, "failed to close a part of the service"));
    }
  };

  try {
    const afterKill = wasKilled(settings);
    const store = await openStore(settings, clock, log);
    opened.push(() => store.close());
    await warnOfLeftBehind(store, log);
    const simulator = settings.simulator ? await startSimulator({ models: simulatedModels(settings) }) : undefined;
    if (simulator) opened.push(() => simulator.stop());
    const elsewhere = simulator && { endpoint: simulator.url, credentials: anybodys };
    const readLimits = (of: Settings) => readAutoLimits(of, { store, log, ...(elsewhere && { elsewhere }) });
    await readLimits(settings);
    const { unavailable, ...queue } = await openQueue(settings, { clock, log }, opened);
    const backends = { store, ...queue };
    logDeploymentChanges(queue.scheduler, log);
    const tokenCounter = createTokenCounter();
    opened.push(() => tokenCounter.close());
    const pool =
      settings.role === "api"
        ? undefined
        : openProviderPool(settings, (...of) =>
            withinBounds(options.createProvider?.(of[2]) ?? createProvider(...of, { env, clock, simulator }), {
              deployment: of[2].id,
              contextTokens: of[1].contextTokens,
              log,
            }),
          );
    if (pool) opened.push(() => pool.close());
    const reload =
      options.readSettings &&
      createReload({
        settings,
        scheduler: backends.scheduler,
        log,
        pool,
        async read() {
          const next = await options.readSettings!();
          await readLimits(next);
          return next;
        },
      });
    const tokenRatios = new TokenRatios();
    const firstKey = await makeFirstKey({ settings, store, clock });
    const access = await openAccess({ settings, ...backends, clock, log }, opened);
    const durations = new CallDurations({ store, clock, log });
    const context: HttpContext = {
      settings,
      durations,
      ...backends,
      ...access,
      tokenCounter,
      tokenRatios,
      clock,
      log,
      ...(reload && { reload }),
    };
    await resumeTokenRatios(context).catch((error) => notShared(log, error));
    // Before anything can be uploaded: nobody but a process that died can have left a blob without its file.
    if (!settings.distributed) await sweepLooseBlobs(context, 0);
    context.fileSpace = new FileSpace(settings, clock, () => allFiles(context));
    await context.fileSpace.load();
    if (settings.role !== "worker") {
      const warm = () => warmUsage(context);
      opened.push(repeat(systemTimers, usageMs, warm, (err) => log.warn({ err }, "failed to read the sums of usage")));
    }
    const callers = settings.role === "worker" ? undefined : await openCallers(context, opened);
    const http = callers && createHttpServer(Object.assign(context, { callers }));
    await http?.listen({ host: settings.host, port: settings.port, listenTextResolver: () => "opened a port" });
    if (http) opened.push(() => http.close());
    const workerId = `${hostname()}/${process.pid}`;
    if (pool) {
      const usageMeter = createUsageMeter(context);
      opened.push(() => shareTokenRatios(context, workerId));
      opened.push(() => usageMeter.idle());
      const { providers } = pool;
      const work: WorkerContext = { ...context, timers: systemTimers, random, workerId, providers, usageMeter };
      startWork(work, opened, { processId: callers?.processId, afterKill });
      const batches = startBatchDriver({ ...work, formats: lineFormats(settings) });
      opened.push(() => batches.stop());
      context.onBatch = batches.wake;
      opened.push(startDeliverer({ ...work, webhookBodies: webhookBodies(context) }));
    }
    const worker = settings.role === "api" ? undefined : workerId;
    const share = () => shareTokenRatios(context, worker);
    opened.push(repeat(systemTimers, checkpointMs, share, (error) => notShared(log, error)));
    // Closed first: while running calls end, nothing new is accepted. Closing twice is no error.
    if (http) opened.push(() => http.close());

    for (const { message: reason, ...about } of settings.simulator ? [] : noticesOf(settings, clock.wall())) {
      log.warn({ ...about, reason }, "found a model that needs attention");
    }

    let stopping: Promise<void> | undefined;
    const url = http && urlOf(settings.host, (http.server.address() as AddressInfo).port);
    log.info(
      {
        ...{ version, role: settings.role, url, configuration: settings.source, simulator: settings.simulator },
        ...{ models: Object.keys(settings.models), environments: Object.keys(settings.environments) },
      },
      "started Sluice",
    );
    return {
      ...(url !== undefined && { url }),
      ...(simulator && { simulatorUrl: simulator.url }),
      ...(firstKey && { firstKey: firstKey.text }),
      ...(unavailable !== undefined && { queueUnavailable: unavailable }),
      ...(reload && { reload }),
      stop() {
        stopping ??= (async () => {
          log.info("stopping Sluice");
          await closeAll();
          log.info("stopped Sluice");
        })();
        return stopping;
      },
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

/** Nobody from elsewhere may call a service that has no keys: one that can be reached from elsewhere has one. */
async function makeFirstKey(context: KeysContext & { settings: Settings }): Promise<ApiKey | undefined> {
  const { role, host, authentication } = context.settings;
  if (role === "worker" || authentication === "off" || isLoopback(host)) return undefined;
  return createFirstKey(context);
}

/** Whether the process that had the data folder before was killed: a stop removes the file. */
function wasKilled({ distributed, dataDir }: Settings): boolean {
  return distributed === undefined && existsSync(join(dataDir, "sluice.pid"));
}

/** A renamed database keeps its jobs, and no process runs them. */
async function warnOfLeftBehind(store: JobStore, log: Logger): Promise<void> {
  try {
    for (const found of await store.leftBehind()) {
      const advice = `Give an environment named ${found.environment} the database ${found.database} again, or move that database elsewhere.`;
      log.warn({ ...found, advice }, "found unfinished jobs that no environment runs");
    }
  } catch (error) {
    log.warn({ err: error }, "failed to look for unfinished jobs that no environment runs");
  }
}

/** Who may call, and how much. */
async function openAccess(
  context: Pick<JobsContext, "settings" | "store" | "scheduler" | "clock" | "log">,
  opened: (() => Promise<unknown>)[],
): Promise<{ keys: KeyRegistry; limits: Limits }> {
  const keys = await openKeyRegistry(context);
  opened.push(() => keys.close());
  const limits = new Limits({ ...context, keys });
  opened.push(
    repeat(
      systemTimers,
      tidyMs,
      () => limits.tidy(),
      (error) => context.log.warn({ err: error }, "failed to compare what jobs used with their limits"),
    ),
  );
  return { keys, limits };
}

/** Who waits here for held calls. Where there are other processes, they are told that this one is alive. */
async function openCallers(context: JobsContext, opened: (() => Promise<unknown>)[]): Promise<WaitingCallers> {
  const { settings, log } = context;
  const callers = new WaitingCallers(context);
  opened.push(async () => callers.close());
  opened.push(
    repeat(
      systemTimers,
      callersMs,
      () => callers.tidy(),
      (error) => log.warn({ err: error }, "failed to settle jobs whose callers disconnected"),
    ),
  );
  if (!settings.distributed) return callers;
  const beat = heartbeat(context, callers.processId);
  const warn = (error: unknown) => log.warn({ err: error }, "failed to write that this process is alive");
  await beat().catch(warn);
  opened.push(repeat(systemTimers, beatMs, beat, warn));
  return callers;
}

function notShared(log: Logger, error: unknown): void {
  log.warn({ err: error }, "failed to read or save what was learned about token counts");
}

function urlOf(host: string, port: number): string {
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}
