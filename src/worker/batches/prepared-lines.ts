// The jobs of a batch, laid ready in the store while its file is checked, so that it need not be read and checked again
// to submit them. They are gone with the process, and when anything goes wrong; then the file is read a second time.
import type { BatchRequest } from "../../domain/batch.ts";
import type { Job } from "../../domain/job.ts";
import type { JobsContext } from "../../jobs/context.ts";
import type { StagedJobs } from "../../store/job-store.ts";

/** Jobs that are made real in one commit. Others wait for it: 15 ms. */
const chunkSize = 2_000;

export class PreparedLines {
  readonly staged: StagedJobs;
  /** Jobs that are to be made real together, and the number of the line of the last of them. */
  readonly chunks: { jobs: number; line: number }[] = [];

  private constructor(staged: StagedJobs) {
    this.staged = staged;
  }

  /**
   * Undefined where every job has to be looked at when it is made real: what a key's limits set aside for it stands in no
   * store, and whoever is told of accepted jobs is told what they ask.
   */
  static of({ store, limits, onAccepted }: JobsContext, request: BatchRequest): PreparedLines | undefined {
    if (!store.stage || onAccepted || limits?.isLimited(request.keyId)) return undefined;
    return new PreparedLines(store.stage(request.environment));
  }

  /** Returns what to wait for before the next job, if anything. */
  add(job: Job, line: number): Promise<void> | undefined {
    const last = this.chunks.at(-1);
    if (last && last.jobs < chunkSize) {
      last.jobs += 1;
      last.line = line;
    } else {
      this.chunks.push({ jobs: 1, line });
    }
    return this.staged.add(job);
  }

  /** Resolves with whether all of them can be made real. */
  async areReady(): Promise<boolean> {
    return this.staged.ready().then(
      () => true,
      () => false,
    );
  }

  /** Never fails: what the store cannot forget now is gone with the process. */
  async drop(): Promise<void> {
    await this.staged.drop().catch(() => {});
  }
}
