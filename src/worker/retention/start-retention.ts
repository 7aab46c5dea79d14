// Starts retention in a process that runs jobs. In the distributed form, one process at a time works on an environment.
import type { JobRecord } from "../../domain/job.ts";
import type { RetentionContext } from "../../jobs/retention/retention-steps.ts";
import { BatchLeases } from "../batches/batch-lease.ts";
import { createPace } from "../pace.ts";
import { repeat } from "../timers.ts";
import type { WorkerContext } from "../worker-context.ts";
import { ArchiveFolder } from "./archive-folder.ts";
import { RetentionRounds } from "./retention-round.ts";

const roundMs = 60_000;
/** The lease has the form of a batch's. No batch has this id. */
const leaseId = "retention";

/** Thrown to end a round between two steps. */
class Interrupted extends Error {
  override readonly name = "Interrupted";
}

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
  let freed = false;
  const totals: Record<string, number> = {};

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
        records.map((record) => ({ at: record.outcome!.at, line: archiveLine(record) })),
      );
    },
    removed(_environment, kind, count) {
      if (count > 0) freed = true;
      totals[kind] = (totals[kind] ?? 0) + count;
    },
  };
  const rounds = new RetentionRounds(context);

  async function round(): Promise<void> {
    for (const environment of settings.runs) {
      current = environment;
      if (stopped || !(await leases.hold(environment, leaseId))) continue;
      try {
        await rounds.run(environment);
        while (freed && (await store.upkeep.reclaim()) > 0) await context.proceed();
        freed = false;
      } catch (error) {
        if (!(error instanceof Interrupted)) throw error;
      } finally {
        report(environment);
      }
    }
  }

  function report(environment: string): void {
    const removed = Object.fromEntries(Object.entries(totals).filter(([, count]) => count > 0));
    for (const kind of Object.keys(totals)) delete totals[kind];
    if (Object.keys(removed).length > 0) log.info({ environment, removed }, "removed old data");
  }

  const stop = repeat(timers, roundMs, round, (error) =>
    log.warn({ err: error }, "failed to remove old data; trying again"),
  );
  return () => {
    stopped = true;
    return stop();
  };
}
