// Composes the service: opens the backends, connects the adapters, starts what the role requires (HTTP, worker), and
// closes everything in an order that loses nothing.
import { existsSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { hostname } from "node:os";
import { join } from "node:path";
import type { Logger } from "pino";
import { ConfigError } from "../config/config-problems.ts";
import type { Environment } from "../config/environment.ts";
import { noticesOf } from "../config/lifecycle.ts";
import type { ReloadReport } from "../config/reloadable.ts";
import type { DeploymentSettings, Settings } from "../config/settings.ts";
import { version } from "../config/version.ts";
import { readAutoLimits } from "../discovery/auto-limits.ts";
import type { ApiKey } from "../domain/api-key.ts";
import { type Clock, systemClock } from "../domain/clock.ts";
import { isLoopback } from "../domain/networks.ts";
import type { HttpServer } from "../http/http-types.ts";
import { createMetricsServer, type MetricsServerContext } from "../http/metrics-server.ts";
import { createHttpServer } from "../http/server.ts";
import { audited } from "../jobs/audit/audited.ts";
import { removeOldAudit } from "../jobs/audit/read-audit.ts";
import { type Caller, serviceCaller } from "../jobs/caller.ts";
import { beatMs, heartbeat } from "../jobs/callers/presence.ts";
import { WaitingCallers } from "../jobs/callers/waiting-callers.ts";
import { PauseWatch } from "../jobs/control/pause-watch.ts";
import { FileSpace } from "../jobs/file-space.ts";
import { allFiles, sweepLooseBlobs } from "../jobs/files/files.ts";
import type { JobsContext } from "../jobs/jobs-context.ts";
import { type KeyRegistry, openKeyRegistry } from "../jobs/keys/key-registry.ts";
import { createFirstKey, type KeysContext } from "../jobs/keys/keys.ts";
import { Limits } from "../jobs/limits/limits.ts";
import { CallDurations } from "../jobs/read/durations.ts";
import { StartSamples } from "../jobs/read/start-samples.ts";
import { warmUsage } from "../jobs/read/usage-report.ts";
import { keepsAll } from "../jobs/retention/retention-policy.ts";
import { createTokenCounter } from "../jobs/tokens/token-counter.ts";
import { TokenRatios } from "../jobs/tokens/token-ratios.ts";
import { withinBounds } from "../providers/bounds.ts";
import type { Provider } from "../providers/provider.ts";
import { startSimulator } from "../simulator/simulator.ts";
import type { JobStore } from "../store/job-store.ts";
import type { LargeTextStore } from "../store/large-texts.ts";
import { openTracing } from "../telemetry/open-tracing.ts";
import { archivedJob } from "../wire/archived-job.ts";
import { lineFormats } from "../wire/openai/line-formats.ts";
import { webhookBodies } from "../wire/webhook-resource.ts";
import { startBatchDriver } from "../worker/batches/batch-driver.ts";
import { archiveProblem } from "../worker/retention/archive-check.ts";
import { startRetention } from "../worker/retention/start-retention.ts";
import { startWork } from "../worker/start-work.ts";
import { repeat, systemTimers, type Timers } from "../worker/timers.ts";
import { createUsageMeter, resumeTokenRatios, shareTokenRatios } from "../worker/token-usage.ts";
import { startDeliverer } from "../worker/webhooks/deliverer.ts";
import type { WorkerContext } from "../worker/worker-context.ts";
import { openQueue, openStore } from "./backends.ts";
import { createProvider, simulatedModels, simulatorCredentials } from "./deployment-providers.ts";
import { createLog } from "./log.ts";
import { startMeasurement } from "./measurement.ts";
import { logDeploymentChanges, openProviderPool } from "./provider-pool.ts";
import { createReload } from "./reload.ts";
import { startHistory } from "./start-history.ts";
import { Teardown } from "./teardown.ts";

export interface Service {
  /** URL of the HTTP API with its actual port. Absent if the role has no HTTP API. */
  url?: string;
  /** URL of the listener for metrics. Absent without one; then the HTTP API serves them. */
  metricsUrl?: string;
  /** The admin key that was created because no key existed; see `createFirstKey`. Show it once. */
  firstKey?: string;
  /** Why the queue was unreachable at the start. Absent if it was reachable. Sluice keeps trying. */
  queueUnavailable?: string;
  /** URL of the built-in simulator, if it replaces Bedrock. */
  simulatorUrl?: string;
  /**
   * Reloads the configuration and applies what needs no restart. Absent without `readSettings`. Rejects with
   * SluiceError `config_invalid` or `unavailable`, and then changes nothing.
   */
  reload?(): Promise<ReloadReport>;
  /**
   * Stops accepting work, lets running calls end (`worker.drainMs`), requeues the rest, and releases the data folder.
   * Resolves when all of this is stored.
   */
  stop(): Promise<void>;
}

export interface StartOptions {
  clock?: Clock;
  log?: Logger;
  /** Returns a random number, uniform in [0, 1). Default: Math.random. */
  random?: () => number;
  /** Environment variables with the keys of OpenAI-compatible servers. Default: those of this process. */
  env?: Environment;
  /** Reads the configuration again, for a reload. */
  readSettings?: () => Promise<Settings>;
  /** Timers of the rounds that advance batches and deliver webhooks. Default: those of Node. */
  roundTimers?: Timers;
  /** Replaces the adapters of the deployments. */
  createProvider?: (deployment: DeploymentSettings) => Provider;
}

const checkpointMs = 10_000;
const tidyMs = 10_000;
const callersMs = 1_000;
/** Interval at which old entries of the audit log are removed, in milliseconds. */
const auditMs = 3_600_000;
/** Interval at which texts that interrupted writes left are removed, in milliseconds. */
const sweepMs = 600_000;
/** Interval of updates of the usage totals that the service adds up itself, in milliseconds. */
const usageMs = 60_000;

/**
 * Starts what `settings.role` requires. HTTP accepts jobs while the queue is rebuilt from the store; `/readyz` reports
 * when that is done.
 * @throws ConfigError if the archive cannot be written
 * @throws if the data folder is in use, the address is taken, or a part cannot be opened; everything is closed again
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
  // A separate copy, because a reload replaces its content.
  const settings = { ...initial };
  const problem = settings.role === "api" ? undefined : archiveProblem(settings);
  if (problem !== undefined) throw new ConfigError(problem);
  const afterKill = wasKilled(settings);
  const traces = await openTracing({ env, version, log });
  if (traces) teardown.defer(() => traces.close());
  const measurement = startMeasurement(settings, teardown);
  const metrics = measurement?.metrics;
  const store = await openStore(settings, clock, { log, metrics });
  teardown.defer(() => store.close());
  await warnOfLeftBehind(store, log);
  await warnOfSize(store, settings, log);
  const simulator = settings.simulator ? await startSimulator({ models: simulatedModels(settings) }) : undefined;
  if (simulator) teardown.defer(() => simulator.stop());
  const awsEndpoint = simulator && { endpoint: simulator.url, credentials: simulatorCredentials };
  const readLimits = (of: Settings) => readAutoLimits(of, { store, log, ...(awsEndpoint && { awsEndpoint }) });
  await readLimits(settings);
  const { unavailable, ...queue } = await openQueue(settings, { clock, log, metrics }, teardown);
  measurement?.observe({ store, scheduler: queue.scheduler, clock, log });
  const history = startHistory({ settings, store, ...queue, clock, log }, teardown, metrics);
  // Metrics can be read until everything else has ended.
  const untilTheEnd = teardown.nested();
  logDeploymentChanges(queue.scheduler, log);
  const tokenCounter = createTokenCounter();
  teardown.defer(() => tokenCounter.close());
  const pool =
    settings.role === "api"
      ? undefined
      : openProviderPool(settings, (of, model, deployment) =>
          withinBounds(
            options.createProvider?.(deployment) ?? createProvider(of, model, deployment, { env, clock, simulator }),
            {
              deployment: deployment.id,
              contextTokens: model.contextTokens,
              maxAnswerBytes: () => settings.limits.maxAnswerBytes,
              log,
            },
          ),
        );
  if (pool) teardown.defer(() => pool.close());
  const { readSettings } = options;
  const readNext = async () => {
    const next = await readSettings!();
    await readLimits(next);
    return next;
  };
  const reloadNow = createReload({ settings, scheduler: queue.scheduler, log, pool, read: readNext });
  const reload =
    readSettings &&
    ((caller: Caller) => audited({ store, clock, log }, caller, "config.reload", {}, () => reloadNow()));
  const tokenRatios = new TokenRatios();
  await resumeTokenRatios({ store, tokenRatios }).catch((error) => notShared(log, error));
  const firstKey = await makeFirstKey({ settings, store, clock, log });
  const access = await openAccess({ settings, store, scheduler: queue.scheduler, clock, log }, teardown);
  measurement?.observeLimits(access.limits, access.keys);
  const durations = new CallDurations({ store, clock, log });
  await sweepLeftovers(store, settings.distributed === undefined, log, teardown);
  const fileSpace = await openFileSpace({ settings, store, clock });
  // The batch driver is created after the context of the HTTP server.
  let wakeBatches = () => {};
  const pauses = new PauseWatch({ store, settings, clock });
  const context: JobsContext & { keys: KeyRegistry; pauses: PauseWatch } = {
    ...{ settings, store, ...queue, ...access, tokenCounter, tokenRatios, durations, fileSpace, pauses, clock, log },
    metrics: history,
    ...(metrics && { startSamples: new StartSamples({ ...queue, metrics, clock, log }) }),
    onBatch: () => {
      wakeBatches();
      queue.events.publishBatch();
    },
    ...(traces && { tracing: traces.tracing }),
  };

  const callers = settings.role === "worker" ? undefined : await openCallers(context, teardown);
  // Running jobs end after HTTP has closed, so that no new work arrives meanwhile.
  const work = teardown.nested();
  const scrape = settings.metrics.port === undefined ? measurement?.scrape : undefined;
  const http =
    callers && createHttpServer({ ...context, callers, ...(reload && { reload }), ...(scrape && { scrape }) });
  if (http) {
    const warm = () => warmUsage(context);
    teardown.defer(repeat(systemTimers, usageMs, warm, (err) => log.warn({ err }, "failed to read usage totals")));
    teardown.defer(() => http.close());
    await http.listen({ host: settings.host, port: settings.port, listenTextResolver: () => "opened a port" });
  }
  const metricsUrl = measurement && (await listenForMetrics({ ...context, ...measurement }, untilTheEnd));
  const workerId = `${hostname()}/${process.pid}`;
  if (pool) {
    const usageMeter = createUsageMeter(context);
    work.defer(() => shareTokenRatios(context, workerId));
    work.defer(() => usageMeter.idle());
    const { providers } = pool;
    const worker: WorkerContext = { ...context, timers: systemTimers, random, workerId, providers, usageMeter };
    const stopWork = startWork(worker, { processId: callers?.processId, afterKill });
    work.defer(stopWork);
    const rounds = { ...worker, timers: options.roundTimers ?? systemTimers };
    const batches = startBatchDriver({ ...rounds, formats: lineFormats(settings) });
    work.defer(() => batches.stop());
    wakeBatches = batches.wake;
    work.defer(queue.events.onBatch(batches.wake));
    work.defer(startDeliverer({ ...rounds, webhookBodies: webhookBodies(context) }));
    work.defer(startRetention({ ...rounds, archiveLine: archivedJob }));
  }
  const forget = () => removeOldAudit({ store, clock });
  const onForgetError = (err: unknown) => log.warn({ err }, "failed to remove old entries of the audit log");
  teardown.defer(repeat(systemTimers, auditMs, forget, onForgetError));
  const share = () => shareTokenRatios(context, pool && workerId);
  work.defer(repeat(systemTimers, checkpointMs, share, (error) => notShared(log, error)));

  for (const { message: reason, ...about } of settings.simulator ? [] : noticesOf(settings, clock.wall())) {
    log.warn({ ...about, reason }, "found a model that needs attention");
  }
  const url = http && urlOf(settings.host, http);
  log.info(
    {
      ...{ version, role: settings.role, url, configuration: settings.source, simulator: settings.simulator },
      ...(metricsUrl !== undefined && { metricsUrl }),
      ...{ models: Object.keys(settings.models), environments: Object.keys(settings.environments) },
      ...(traces && { traces: traces.exporters }),
    },
    "started Sluice",
  );
  let stopping: Promise<void> | undefined;
  return {
    ...(url !== undefined && { url }),
    ...(metricsUrl !== undefined && { metricsUrl }),
    ...(simulator && { simulatorUrl: simulator.url }),
    ...(firstKey && { firstKey: firstKey.text }),
    ...(unavailable !== undefined && { queueUnavailable: unavailable }),
    ...(reload && { reload: () => reload(serviceCaller) }),
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

/**
 * Creates the first API key for a service that other machines can reach, so that it never accepts calls without a key.
 */
async function makeFirstKey(context: KeysContext & { settings: Settings }): Promise<ApiKey | undefined> {
  const { role, host, authentication } = context.settings;
  if (role === "worker" || authentication === "off" || isLoopback(host)) return undefined;
  return createFirstKey(context);
}

/** Returns whether the previous process with this data folder was killed. A regular stop removes the file. */
function wasKilled({ distributed, dataDir }: Settings): boolean {
  return distributed === undefined && existsSync(join(dataDir, "sluice.pid"));
}

/**
 * Warns of jobs in a database that no environment names. A renamed database keeps its jobs, but no process runs them.
 */
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

/** Warns of a large store that keeps everything. */
async function warnOfSize(store: JobStore, settings: Settings, log: Logger): Promise<void> {
  const { retention, environments } = settings;
  if (!keepsAll(retention, Object.keys(environments))) return;
  try {
    const { bytes } = await store.upkeep.size();
    if (bytes <= retention.warnAboveBytes) return;
    const advice = "Set ages under retention in the configuration, or raise retention.warnAboveBytes.";
    log.warn({ bytes, warnAboveBytes: retention.warnAboveBytes, advice }, "found a large store that keeps everything");
  } catch (error) {
    log.warn({ err: error }, "failed to read the size of the store");
  }
}

/** Opens API keys and limits. */
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

/** Opens the registry of waiting callers. With several processes, it also announces that this process is alive. */
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

/** Opens the listener for metrics and returns its URL, or undefined if the configuration names none. */
async function listenForMetrics(
  context: Omit<MetricsServerContext, "listensOn">,
  teardown: Teardown,
): Promise<string | undefined> {
  const { host, port } = context.settings.metrics;
  if (port === undefined) return undefined;
  const server = createMetricsServer({ ...context, listensOn: host });
  teardown.defer(() => server.close());
  await server.listen({ host, port, listenTextResolver: () => "opened a port for metrics" });
  return `${urlOf(host, server)}/metrics`;
}

function urlOf(host: string, { server }: HttpServer): string {
  const { port } = server.address() as AddressInfo;
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** Removes large texts that interrupted writes and erasures left: at the start those of this folder, and then regularly. */
async function sweepLeftovers(store: LargeTextStore, isAlone: boolean, log: Logger, teardown: Teardown): Promise<void> {
  if (isAlone) await store.sweepTexts(true);
  const warn = (err: unknown) => log.warn({ err }, "failed to remove texts that interrupted writes left");
  teardown.defer(repeat(systemTimers, sweepMs, () => store.sweepTexts(), warn));
}

/** Counts the bytes of files by tenant, after removing blobs without a file. */
async function openFileSpace(context: Pick<JobsContext, "settings" | "store" | "clock">): Promise<FileSpace> {
  const { settings, clock } = context;
  // No upload can run yet, so a blob without a file belongs to a process that died.
  if (!settings.distributed) await sweepLooseBlobs(context, 0);
  const fileSpace = new FileSpace(settings, clock, () => allFiles(context));
  await fileSpace.load();
  return fileSpace;
}
