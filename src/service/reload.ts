// Reloads the configuration while the service runs. A reload takes effect completely or not at all.
import type { Logger } from "pino";
import { ConfigError } from "../config/config-problems.ts";
import { type ReloadReport, type TakenOver, takeOver } from "../config/reloadable.ts";
import { schedulerConfigOf } from "../config/scheduler-config.ts";
import type { Settings } from "../config/settings.ts";
import { SluiceError } from "../domain/errors.ts";
import type { MissingModel, Scheduler } from "../scheduler/scheduler.ts";
import { missingModel } from "../worker/recovery/recovery.ts";
import type { ProviderPool } from "./provider-pool.ts";

export interface ReloadContext {
  /** The settings in effect. A reload replaces their content, so that every holder sees the new one. */
  settings: Settings;
  scheduler: Pick<Scheduler, "configure" | "snapshot">;
  log: Logger;
  pool: ProviderPool | undefined;
  /** Reads and checks the configuration as at the start, including limits that AWS lists. */
  read: () => Promise<Settings>;
}

/**
 * Returns the function that reloads the configuration. A call during a reload waits for it and then reloads again. The
 * function rejects with SluiceError `config_invalid`, or `unavailable` if the queue is unreachable. The previous
 * configuration then stays in effect.
 */
export function createReload(context: ReloadContext): () => Promise<ReloadReport> {
  let last: Promise<unknown> = Promise.resolve();
  return () => {
    const next = last.then(() => reload(context));
    last = next.catch(() => {});
    return next;
  };
}

async function reload({ settings, scheduler, log, pool, read }: ReloadContext): Promise<ReloadReport> {
  const { settings: inForce, changed, needsRestart } = await readNext(settings, read, log);
  try {
    // Runs first, so that the queue grants nothing that this process cannot call.
    pool?.update(inForce);
    await scheduler.configure(schedulerConfigOf(inForce));
  } catch (error) {
    log.error({ err: error }, "failed to apply the configuration; the previous one stays in force");
    throw new SluiceError(
      "unavailable",
      "The queue does not take the new configuration at the moment.",
      {},
      { cause: error },
    );
  }
  Object.assign(settings, inForce);
  log.level = settings.logLevel;
  log.info({ changed, needsRestart }, "reloaded the configuration");
  if (needsRestart.length > 0) log.warn({ needsRestart }, "found configuration changes that need a restart");
  const missingModels = await logMissingModels(scheduler, log);
  return { changed, needsRestart, missingModels };
}

/** Logs models without deployments for which jobs wait, and returns them. A failure does not undo the reload. */
async function logMissingModels(scheduler: Pick<Scheduler, "snapshot">, log: Logger): Promise<MissingModel[]> {
  try {
    const { missingModels } = await scheduler.snapshot();
    for (const { model, jobs, failInMs } of missingModels) log.warn({ model, jobs, failInMs }, missingModel);
    return missingModels;
  } catch (error) {
    log.warn({ err: error }, "failed to count jobs whose model is missing");
    return [];
  }
}

async function readNext(current: Settings, read: () => Promise<Settings>, log: Logger): Promise<TakenOver> {
  try {
    return takeOver(current, await read());
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    log.error(
      { mistakes: error.message.split("\n") },
      "rejected a configuration with mistakes; the previous one stays in force",
    );
    throw new SluiceError("config_invalid", `${error.message}\nThe configuration before stays in force.`);
  }
}
