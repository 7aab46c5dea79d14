// Opens the store, the queue and the event bus: in this process (SQLite and memory), or shared by many (MongoDB and
// Redis).
import type { Logger } from "pino";
import { schedulerConfigOf } from "../config/scheduler-config.ts";
import type { Settings } from "../config/settings.ts";
import type { Clock } from "../domain/clock.ts";
import type { Job } from "../domain/job.ts";
import type { EventBus } from "../events/event-bus.ts";
import { createMemoryEventBus } from "../events/memory/memory-event-bus.ts";
import { createRedisEventBus } from "../events/redis/redis-event-bus.ts";
import { hasZeroRetention } from "../jobs/retention/retention-policy.ts";
import { createMemoryScheduler } from "../scheduler/memory/memory-scheduler.ts";
import { createRedisScheduler } from "../scheduler/redis/redis-scheduler.ts";
import type { Scheduler } from "../scheduler/scheduler.ts";
import { type LargeTextStore, withLargeTexts } from "../store/large-texts.ts";
import { measuredStore } from "../store/measured-store.ts";
import { openMongoStore } from "../store/mongo/mongo-store.ts";
import { openSqliteStore } from "../store/sqlite/sqlite-store.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Teardown } from "./teardown.ts";

export interface Queue {
  scheduler: Scheduler;
  events: EventBus;
  /** Why the queue is unreachable. Absent if it is reachable. Sluice keeps trying. */
  unavailable?: string;
}

/**
 * Opens the queue and the event bus. Defers the closing of each to `teardown`, even if a later part cannot be opened.
 */
export async function openQueue(
  settings: Settings,
  { clock, log, metrics }: { clock: Clock; log: Logger; metrics?: Metrics | undefined },
  teardown: Teardown,
): Promise<Queue> {
  const config = schedulerConfigOf(settings);
  if (!settings.distributed) {
    const scheduler = createMemoryScheduler({ config, clock });
    teardown.defer(() => scheduler.close());
    const events = createMemoryEventBus({
      onListenerError: (error) => log.error({ err: error }, "caught an error in a listener of job events"),
    });
    teardown.defer(() => events.close());
    return { scheduler, events };
  }

  const { redisUrl } = settings.distributed;
  const scheduler = await createRedisScheduler({
    ...{ redis: redisUrl, config, clock },
    ...(metrics && { onScript: metrics.redisAnswered }),
  });
  teardown.defer(() => scheduler.close());
  const unavailable = await takeOver(scheduler, config.version, () => scheduler.configure(config), log);
  const hidesPrompt = ({ environment, tenant }: Job) => hasZeroRetention(settings.retention, environment, tenant);
  const jobHashes = { ...settings.redis.jobHashes, hidesPrompt };
  const events = await createRedisEventBus({ url: redisUrl, clock, log, jobHashes });
  teardown.defer(() => events.close());
  return { scheduler, events, ...(unavailable !== undefined && { unavailable }) };
}

/** Opens only the store, and measures it if there are metrics. Large texts go to its blobs. */
export async function openStore(
  settings: Settings,
  clock: Clock,
  { log, metrics }: { log?: Logger; metrics?: Metrics | undefined } = {},
): Promise<LargeTextStore> {
  const { dataDir, environments, distributed } = settings;
  const measured = metrics && { onCommit: metrics.storeCommitted };
  const store = distributed
    ? await openMongoStore({ url: distributed.mongoUrl, environments, clock, ...measured })
    : await openSqliteStore({ dataDir, environments, ...(log && { log }), ...measured });
  const timed = metrics ? measuredStore(store, clock, metrics.storeAnswered) : store;
  return withLargeTexts(timed, { clock, environments: Object.keys(environments) });
}

/**
 * Applies this process's configuration to the queue. All processes use the configuration of the process that started
 * last. A process with another one reports that in /readyz instead of changing it back.
 * @returns why this failed, or undefined if it succeeded
 */
async function takeOver(
  scheduler: Scheduler,
  version: string,
  configure: () => Promise<void>,
  log: Logger,
): Promise<string | undefined> {
  try {
    const { configVersion, advice = [] } = await scheduler.snapshot();
    for (const text of advice) log.warn({ advice: text }, "found a Redis setting that puts the queue at risk");
    if (configVersion === version) return undefined;
    await configure();
    log.warn({ from: configVersion, to: version }, "replaced the configuration of the queue with that of this process");
    return undefined;
  } catch (error) {
    log.warn({ err: error }, "failed to compare the configuration of the queue with that of this process");
    return (error as Error).message;
  }
}
