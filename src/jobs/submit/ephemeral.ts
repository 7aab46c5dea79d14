// Stores jobs that leave neither prompt nor answer behind. A marker is stored before such a job, so that its texts are
// erased whichever process dies. The process that answers the caller erases them at once. A sweep erases them again
// after a while, in case the process died or a pending write restored them. Only the sweep removes the marker.
import type { Job, JobRecord } from "../../domain/job.ts";
import { environmentCollection } from "../../store/collection.ts";
import type { JobsContext } from "../jobs-context.ts";

type Context = Pick<JobsContext, "store" | "clock" | "log">;

/** Age at which every caller was answered and every pending write has finished, in milliseconds. */
const settledMs = 60_000;
/** Age at which a marker without a job is removed, in milliseconds. Its job was never stored. */
const strayMs = 3_600_000;

interface Mark {
  /** Milliseconds since the epoch. */
  submittedAt: number;
}

/** By job. */
const marksIn = environmentCollection<Mark>({ stored: "ephemeral" });

/** Stores the markers. Call it before the jobs are stored. */
export async function markEphemeral({ store }: Pick<Context, "store">, jobs: readonly Job[]): Promise<void> {
  const ephemeral = jobs.filter((job) => job.ephemeral);
  for (const environment of new Set(ephemeral.map((job) => job.environment))) {
    const own = ephemeral.filter((job) => job.environment === environment);
    const marks = own.map(({ id, submittedAt }) => ({ id, value: { submittedAt } }));
    await marksIn(store, environment).insertAll(marks);
  }
}

/** Erases the texts of a job whose caller was answered. Never fails: the sweep repeats it. */
export async function eraseAnswered({ store, log }: Context, { job, outcome }: JobRecord): Promise<void> {
  if (!job.ephemeral || !outcome) return;
  try {
    await store.eraseTexts(job.environment, job.id);
  } catch (error) {
    log.warn({ err: error, jobId: job.id }, "failed to erase the texts of a job; trying again");
  }
}

/** Erases the texts of all marked jobs that ended a while ago. */
export async function sweepEphemeral(context: Context, environments: readonly string[]): Promise<void> {
  for (const environment of environments) {
    for await (const { id, value } of marksIn(context.store, environment).all()) {
      await sweep(context, environment, id, value);
    }
  }
}

async function sweep({ store, clock }: Context, environment: string, id: string, mark: Mark) {
  const now = clock.wall();
  const record = await store.get(id, "none");
  if (record) {
    if (!record.outcome || record.outcome.at > now - settledMs) return;
    await store.eraseTexts(record.job.environment, id);
  } else if (mark.submittedAt > now - strayMs) {
    return;
  }
  await marksIn(store, environment).remove(id);
}
