// Advances batches from the check of their file to their output. It checks for open batches every second, and at once
// when it is notified of one, by its own process or by another.
import type { BatchId } from "../../domain/batch.ts";
import { openBatches } from "../../jobs/batches/batch-records.ts";
import { continueDeletion, openDeletions } from "../../jobs/batches/delete-batch.ts";
import { sweepExpiredFiles } from "../../jobs/batches/file-expiry.ts";
import { createLineCounter } from "../../jobs/batches/line-counter.ts";
import { sweepLooseBlobs } from "../../jobs/files/files.ts";
import { createPace } from "../pace.ts";
import { repeat } from "../timers.ts";
import { type BatchContext, Interrupted } from "./batch-context.ts";
import { BatchLeases } from "./batch-lease.ts";
import { driveBatch } from "./drive-batch.ts";

const roundMs = 1_000;
const sweepMs = 60_000;
/** Batches processed at a time, so that small ones do not wait for the check of a large one. */
const maxAtOnce = 4;

export interface BatchDriver {
  /** Checks for batches now. */
  wake(): void;
  /** Stops whatever is running. The next process continues from the stored state. */
  stop(): Promise<void>;
}

export function startBatchDriver(context: BatchContext): BatchDriver {
  const { settings, timers, log } = context;
  const leases = new BatchLeases(context);
  const counter = createLineCounter(context);
  const pace = createPace(context.clock, timers);
  const driving = new Map<BatchId, Promise<void>>();
  let stopped = false;
  let looking: Promise<void> | undefined;
  let again = false;

  /** Checks for batches, one check at a time. A call during a check causes another one after it. */
  function look(): Promise<void> {
    again = true;
    looking ??= (async () => {
      while (again && !stopped) {
        again = false;
        for (const environment of settings.runs) await lookInto(environment);
      }
    })().finally(() => {
      looking = undefined;
    });
    return looking;
  }

  async function lookInto(environment: string): Promise<void> {
    await takeFurther(environment, await openBatches(context, environment), drive);
    await takeFurther(environment, await openDeletions(context, environment), remove);
  }

  async function takeFurther(environment: string, ids: readonly BatchId[], run: typeof drive): Promise<void> {
    for (const id of ids) {
      if (stopped) return;
      if (driving.has(id) || !(await leases.hold(environment, id))) continue;
      if (driving.size >= maxAtOnce) await Promise.race(driving.values());
      driving.set(
        id,
        run(environment, id).finally(() => driving.delete(id)),
      );
    }
  }

  async function remove(environment: string, id: BatchId): Promise<void> {
    try {
      await continueDeletion(context, environment, id, async () => {
        await pace();
        return !stopped && (await leases.hold(environment, id));
      });
    } catch (error) {
      log.warn({ err: error, batchId: id }, "failed to remove the rest of a deleted batch");
    }
  }

  async function drive(environment: string, id: BatchId): Promise<void> {
    try {
      await driveBatch(context, counter, environment, id, async () => {
        if (stopped || !(await leases.hold(environment, id))) throw new Interrupted();
      });
    } catch (error) {
      if (!(error instanceof Interrupted))
        log.warn({ err: error, batchId: id }, "failed to advance a batch; trying again");
    }
  }

  async function sweep(): Promise<void> {
    await sweepExpiredFiles(context);
    await sweepLooseBlobs(context);
    for (const environment of settings.runs) await leases.sweep(environment);
  }

  const warn = (error: unknown) => log.warn({ err: error }, "failed to look for batches to advance");
  const stops = [repeat(timers, roundMs, look, warn), repeat(timers, sweepMs, sweep, warn)];
  look().catch(warn);

  return {
    wake: () => void look().catch(warn),
    async stop() {
      stopped = true;
      await Promise.all(stops.map((stop) => stop()));
      await looking?.catch(() => {});
      await Promise.all(driving.values());
    },
  };
}
