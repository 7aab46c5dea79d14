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
import { createHttpServer } from "../http/server.ts";
import { beatMs, heartbeat } from "../jobs/callers/presence.ts";
import { WaitingCallers } from "../jobs/callers/waiting-callers.ts";
import { PauseWatch } from "../jobs/control/pause-watch.ts";
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
import { Teardown } from "./teardown.ts";

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
 * Starts what `settings.role` asks for. The queue is rebuilt from the store while HTTP already accepts jobs; `/readyz` says
 * when that is done.
 * @throws if the data folder is in use, the address is taken, or a part cannot be opened; then everything is closed again
 */
export async function startService(initial: Settings, options: StartOptions = {}): Promise<Service> {
  const { log = createLog(initial.logLevel) } = options;
  const teardown = new Teardown(log);
  try {
    return await open(initial, { ...options, log }, teardown);
  } catch (error) {
    await teardown.run();
    throw error;
  }
}

async function open(
  initial: Settings,
  { clock = systemClock, random = Math.random, env = process.env, log, ...options }: StartOptions & { log: Logger },
  teardown: Teardown,
): Promise<Service> {
  // A copy of its own, because a reload replaces its content.
  const settings = { ...initial };
  const afterKill = wasKilled(settings);
  const store = await openStore(settings, clock, log);
  teardown.defer(() => store.close());
  await warnOfLeftBehind(store, log);
  const simulator = settings.simulator ? await startSimulator({ models: simulatedModels(settings) }) : undefined;
  if (simulator) teardown.defer(() => simulator.stop());
  const elsewhere = simulator && { endpoint: simulator.url, credentials: anybodys };
  const readLimits = (of: Settings) => readAutoLimits(of, { store, log, ...(elsewhere && { elsewhere }) });
  await readLimits(settings);
  const { unavailable, ...queue } = await openQueue(settings, { clock, log }, teardown);
  logDeploymentChanges(queue.scheduler, log);
  const tokenCounter = createTokenCounter();
  teardown.defer(() => tokenCounter.close());
  const pool =
    settings.role === "api"
      ? undefined
      : openProviderPool(settings, (of, model, deployment) =>
          withinBounds(
            options.createProvider?.(deployment) ?? createProvider(of, model, deployment, { env, clock, simulator }),
            { deployment: deployment.id, contextTokens: model.contextTokens, log },
          ),
        );
  if (pool) teardown.defer(() => pool.close());
  const { readSettings } = options;
  const readNext = async () => {
    const next = await readSettings!();
    await readLimits(next);
    return next;
  };
  const reload = readSettings && createReload({ settings, scheduler: queue.scheduler, log, pool, read: readNext });
  const tokenRatios = new TokenRatios();
  await resumeTokenRatios({ store, tokenRatios }).catch((error) => notShared(log, error));
  const firstKey = await makeFirstKey({ settings, store, clock });
  const access = await openAccess({ settings, store, scheduler: queue.scheduler, clock, log }, teardown);
  const durations = new CallDurations({ store, clock, log });
  const fileSpace = await openFileSpace({ settings, store, clock });
  // Which driver takes batches further is known only after the HTTP server has its context.
  let wakeBatches = () => {};
  const pauses = new PauseWatch({ store, settings, clock });
  const context: JobsContext & { keys: KeyRegistry; pauses: PauseWatch } = {
    ...{ settings, store, ...queue, ...access, tokenCounter, tokenRatios, durations, fileSpace, pauses, clock, log },
    onBatch: () => wakeBatches(),
    ...(reload && { reload }),
  };

  const callers = settings.role === "worker" ? undefined : await openCallers(context, teardown);
  // Running jobs end after HTTP has closed: while they do, nothing new is accepted.
  const work = teardown.nested();
  const http = callers && createHttpServer({ ...context, callers });
  if (http) {
    const warm = () => warmUsage(context);
    teardown.defer(repeat(systemTimers, usageMs, warm, (err) => log.warn({ err }, "failed to read usage totals")));
    teardown.defer(() => http.close());
    await http.listen({ host: settings.host, port: settings.port, listenTextResolver: () => "opened a port" });
  }
  const workerId = `${hostname()}/${process.pid}`;
  if (pool) {
    const usageMeter = createUsageMeter(context);
    work.defer(() => shareTokenRatios(context, workerId));
    work.defer(() => usageMeter.idle());
    const { providers } = pool;
    const worker: WorkerContext = { ...context, timers: systemTimers, random, workerId, providers, usageMeter };
    const stopWork = startWork(worker, { processId: callers?.processId, afterKill });
    work.defer(stopWork);
    const batches = startBatchDriver({ ...worker, formats: lineFormats(settings) });
    work.defer(() => batches.stop());
    wakeBatches = batches.wake;
    work.defer(startDeliverer({ ...worker, webhookBodies: webhookBodies(context) }));
  }
  const share = () => shareTokenRatios(context, pool && workerId);
  work.defer(repeat(systemTimers, checkpointMs, share, (error) => notShared(log, error)));

  for (const { message: reason, ...about } of settings.simulator ? [] : noticesOf(settings, clock.wall())) {
    log.warn({ ...about, reason }, "found a model that needs attention");
  }
  const url = http && urlOf(settings.host, (http.server.address() as AddressInfo).port);
  log.info(
    {
      ...{ version, role: settings.role, url, configuration: settings.source, simulator: settings.simulator },
      ...{ models: Object.keys(settings.models), environments: Object.keys(settings.environments) },
    },
    "started Sluice",
  );
  let stopping: Promise<void> | undefined;
  return {
    ...(url !== undefined && { url }),
    ...(simulator && { simulatorUrl: simulator.url }),
    ...(firstKey && { firstKey: firstKey.text }),
    ...(unavailable !== undefined && { queueUnavailable: unavailable }),
    ...(reload && { reload }),
    stop() {
      stopping ??= (async () => {
        log.info("stopping Sluice");
        await teardown.run();
        log.info("stopped Sluice");
      })();
      return stopping;
    },
  };
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
  teardown: Teardown,
): Promise<{ keys: KeyRegistry; limits: Limits }> {
  const keys = await openKeyRegistry(context);
  teardown.defer(() => keys.close());
  const limits = new Limits({ ...context, keys });
  teardown.defer(
    repeat(
      systemTimers,
      tidyMs,
      () => limits.tidy(),
      (error) => context.log.warn({ err: error }, "failed to reconcile the usage of jobs with limits"),
    ),
  );
  return { keys, limits };
}

/** Who waits here for held calls. Where there are other processes, they are told that this one is alive. */
async function openCallers(context: JobsContext, teardown: Teardown): Promise<WaitingCallers> {
  const { settings, log } = context;
  const callers = new WaitingCallers(context);
  teardown.defer(() => callers.close());
  teardown.defer(
    repeat(
      systemTimers,
      callersMs,
      () => callers.tidy(),
      (error) => log.warn({ err: error }, "failed to settle jobs whose callers disconnected"),
    ),
  );
  if (!settings.distributed) return callers;
  const beat = heartbeat(context, callers.processId);
  const warn = (error: unknown) => log.warn({ err: error }, "failed to write the heartbeat of this process");
  await beat().catch(warn);
  teardown.defer(repeat(systemTimers, beatMs, beat, warn));
  return callers;
}

function notShared(log: Logger, error: unknown): void {
  log.warn({ err: error }, "failed to read or save learned token ratios");
}

function urlOf(host: string, port: number): string {
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** Counts the bytes of files by tenant, after blobs without a file were removed. */
async function openFileSpace(context: Pick<JobsContext, "settings" | "store" | "clock">): Promise<FileSpace> {
  const { settings, clock } = context;
  // Nothing can be uploaded yet, so only a process that died can have left a blob without its file.
  if (!settings.distributed) await sweepLooseBlobs(context, 0);
  const fileSpace = new FileSpace(settings, clock, () => allFiles(context));
  await fileSpace.load();
  return fileSpace;
}
