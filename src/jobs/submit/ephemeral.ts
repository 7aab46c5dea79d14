// Jobs that leave neither prompt nor answer behind. Before such a job is stored a mark is, so that its texts are found
// and erased whatever dies in between: whoever answered the caller erases them at once, and a sweep does so again after
// a while, in case that nobody did or a write that was under way brought them back. Only the sweep removes the mark.
import type { Job, JobRecord } from "../../domain/job.ts";
import type { RecordPlace } from "../../store/record-store.ts";
import type { JobsContext } from "../jobs-context.ts";

type Context = Pick<JobsContext, "store" | "clock" | "log">;

/** By then every caller was answered, and every write that was under way is done. */
const settledMs = 60_000;
/** A mark without a job: it was never stored. */
const strayMs = 3_600_000;
const pageSize = 500;

function place(environment: string): RecordPlace {
  return { collection: "ephemeral", environment };
}

/** To be called before the jobs are stored. */
export async function markEphemeral({ store }: Pick<Context, "store">, jobs: readonly Job[]): Promise<void> {
  const ephemeral = jobs.filter((job) => job.ephemeral);
  for (const environment of new Set(ephemeral.map((job) => job.environment))) {
    const own = ephemeral.filter((job) => job.environment === environment);
    const marks = own.map(({ id, submittedAt }) => ({ id, value: { submittedAt } }));
    await store.records.insert(place(environment), marks);
  }
}

/** Erases the texts of a job whose caller was answered. Never fails: the sweep does what could not be done. */
export async function eraseAnswered({ store, log }: Context, { job, outcome }: JobRecord): Promise<void> {
  if (!job.ephemeral || !outcome) return;
  try {
    await store.eraseTexts(job.environment, job.id);
  } catch (error) {
    log.warn({ err: error, jobId: job.id }, "failed to erase the texts of a job; trying again");
  }
}

/** Erases the texts of all jobs that are marked and have ended a while ago. */
export async function sweepEphemeral(context: Context, environments: readonly string[]): Promise<void> {
  for (const environment of environments) {
    let cursor: string | undefined;
    do {
      const page = await context.store.records.list(place(environment), { limit: pageSize, cursor });
      for (const { id, value } of page.items) await sweep(context, environment, id, value as { submittedAt: number });
      cursor = page.next;
    } while (cursor !== undefined);
  }
}

async function sweep({ store, clock }: Context, environment: string, id: string, mark: { submittedAt: number }) {
  const now = clock.wall();
  const record = await store.get(id);
  if (record) {
    if (!record.outcome || record.outcome.at > now - settledMs) return;
    await store.eraseTexts(record.job.environment, id);
  } else if (mark.submittedAt > now - strayMs) {
    return;
  }
  await store.records.remove(place(environment), [id]);
}
