// The jobs of a batch, laid ready in the store while its file is checked, so that it need not be read and checked again
// to submit them. They are gone with the process, and when anything goes wrong; then the file is read a second time.
import type { BatchRequest } from "../../domain/batch.ts";
import type { Job } from "../../domain/job.ts";
import type { JobsContext } from "../../jobs/jobs-context.ts";
import type { StagedJobs } from "../../store/job-store.ts";
import { QueuedLines } from "./queued-lines.ts";

export class PreparedLines {
  readonly staged: StagedJobs;
  readonly queued: QueuedLines;

  private constructor(staged: StagedJobs, queued: QueuedLines) {
    this.staged = staged;
    this.queued = queued;
  }

  /**
   * Undefined where every job has to be looked at when it is made real: what a key's limits set aside for it stands in no
   * store, and whoever is told of accepted jobs is told what they ask.
   */
  static of({ store, limits, onAccepted }: JobsContext, request: BatchRequest): PreparedLines | undefined {
    const keyLimits = request.keyId === undefined ? undefined : limits?.keys.limitsOf(request.keyId);
    if (!store.stage || onAccepted || keyLimits) return undefined;
    return new PreparedLines(store.stage(request.environment), new QueuedLines(request.id));
  }

  /** Returns what to wait for before the next job, if anything. */
  add(job: Job, line: number): Promise<void> | undefined {
    this.queued.add(job, line);
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
