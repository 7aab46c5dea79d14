// Starts retention in a process that runs jobs. In the distributed form, one process at a time works on an environment.
import type { RetentionKind } from "../../config/settings.ts";
import type { JobRecord } from "../../domain/job.ts";
import { keepsAll } from "../../jobs/retention/retention-policy.ts";
import { saveRound } from "../../jobs/retention/retention-report.ts";
import { Interrupted, type RetentionContext } from "../../jobs/retention/retention-steps.ts";
import { BatchLeases } from "../batches/batch-lease.ts";
import { createPace } from "../pace.ts";
import { repeat } from "../timers.ts";
import type { WorkerContext } from "../worker-context.ts";
import { ArchiveFolder } from "./archive-folder.ts";
import { RetentionRounds } from "./retention-round.ts";

const roundMs = 60_000;
/** The lease has the form of a batch's. No batch has this id. */
const leaseId = "retention";

/** Kinds of which is known how late they are. */
const walked = ["texts", "jobs"] as const satisfies RetentionKind[];

export interface RetentionOptions extends WorkerContext {
  /** Returns a job as it is written to the archive. */
  archiveLine(record: JobRecord): object;
}

/** Starts retention. Returns the function that ends it after the step that runs. */
export function startRetention({ archiveLine, ...worker }: RetentionOptions): () => Promise<void> {
  const { settings, clock, timers, log, store, workerId } = worker;
  const leases = new BatchLeases(worker);
  const pace = createPace(clock, timers);
  let stopped = false;
  let current = "";
  /** Whether something was removed since the last free space was returned. */
  let freed = false;
  let removed: Partial<Record<RetentionKind, number>> = {};

  const context: RetentionContext = {
    ...worker,
    async proceed() {
      await pace();
      if (stopped || !(await leases.hold(current, leaseId))) throw new Interrupted();
    },
    async archive(environment, records) {
      const { archive } = settings.retention;
      if (archive === undefined) return;
      const folder = new ArchiveFolder(archive, settings.distributed ? workerId : undefined);
      await folder.append(
        environment,
        records.map((record) => ({
          at: record.outcome!.at,
          line: async () => archiveLine((await store.get(record.job.id)) ?? record),
        })),
      );
    },
    removed(environment, kind, count) {
      if (count === 0) return;
      freed = true;
      removed[kind] = (removed[kind] ?? 0) + count;
      worker.metrics?.dataRemoved(environment, kind, count);
    },
  };
  const rounds = new RetentionRounds(context);

  async function round(): Promise<void> {
    for (const environment of settings.runs) {
      if (stopped) return;
      if (keepsAll(settings.retention, [environment])) continue;
      current = environment;
      try {
        if (await leases.hold(environment, leaseId)) await roundIn(environment);
        else for (const kind of walked) worker.metrics?.retentionLate(environment, kind, 0);
      } catch (error) {
        warn(error, environment);
      }
    }
  }

  async function roundIn(environment: string): Promise<void> {
    removed = {};
    let error: string | undefined;
    try {
      await rounds.run(environment);
    } catch (thrown) {
      if (!(thrown instanceof Interrupted)) {
        error = (thrown as Error).message;
        warn(thrown, environment);
      }
    }
    if (Object.keys(removed).length > 0) log.info({ environment, removed }, "removed old data");
    const lateMs = rounds.lateMs(environment);
    for (const kind of walked) worker.metrics?.retentionLate(environment, kind, lateMs[kind] ?? 0);
    await saveRound(worker, environment, { at: clock.wall(), removed, lateMs, ...(error !== undefined && { error }) });
    await giveBack();
  }

  async function giveBack(): Promise<void> {
    try {
      while (freed && (await store.upkeep.reclaim()) > 0) await context.proceed();
      freed = false;
    } catch (error) {
      if (!(error instanceof Interrupted)) throw error;
    }
  }

  function warn(error: unknown, environment?: string): void {
    log.warn({ err: error, environment }, "failed to remove old data; trying again");
  }

  const stop = repeat(timers, roundMs, round, warn);
  return () => {
    stopped = true;
    return stop();
  };
}
