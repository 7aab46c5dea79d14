// Drains a filled queue with a provider that answers at once.
import type { TraceContext } from "../../src/domain/trace-context.ts";
import { queueEntryOf } from "../../src/jobs/queue-entry.ts";
import type { Tracing } from "../../src/telemetry/tracing.ts";
import { cpuOfDrain, type Drained } from "./drain-cpu.ts";
import { makeJobs, openEmbedded } from "./embedded.ts";

const quotas = [
  { unit: "requests", per: "minute", limit: 10_000_000 },
  { unit: "tokens", per: "minute", limit: 1_000_000_000, burst: 1_000_000_000 },
] as const;

export interface Drain {
  jobs: number;
  concurrency: number;
  /** Default: false. */
  metrics?: boolean;
  /** Default: tracing is off. */
  tracing?: Tracing | undefined;
  /** The trace of every job. */
  trace?: TraceContext;
}

export async function drainEmbedded({ jobs, concurrency, metrics = false, tracing, trace }: Drain): Promise<Drained> {
  const options = { quotas: [...quotas], concurrency, metrics, ...(tracing && { tracing }) };
  const { context, worker, close } = await openEmbedded(options);
  try {
    const all = makeJobs(jobs).map((job) => (trace ? { ...job, trace } : job));
    for (let i = 0; i < all.length; i += 1000) await context.store.insertMany(all.slice(i, i + 1000));
    await context.scheduler.finishRebuild((await context.scheduler.beginRebuild())!);
    await context.scheduler.enqueue(all.map((job) => queueEntryOf(job, Date.now())));
    const ended = new Promise<void>((resolve) => {
      let left = jobs;
      for (const { id } of all) {
        context.events.subscribe(
          id,
          (event) => {
            if (event.type === "state" && event.state === "completed" && --left === 0) resolve();
          },
          "states",
        );
      }
    });
    return await cpuOfDrain(jobs, undefined, async () => {
      worker.start();
      await ended;
    });
  } finally {
    await close();
  }
}
