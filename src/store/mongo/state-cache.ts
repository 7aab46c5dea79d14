// Writes the state that is cached on jobs, one command at a time. Changes of a job that wait for their command become one.
import type { Db } from "mongodb";
import { Group } from "../../domain/group.ts";
import type { JobId } from "../../domain/ids.ts";
import type { JobState } from "../../domain/job.ts";
import { updateDerived } from "./commands.ts";
import type { JobDocument } from "./documents.ts";

type Change = { state: JobState } & Partial<JobDocument>;

/** Jobs in one command. */
const maxBatch = 1_000;

export class StateCache {
  readonly #changes: Group<JobId, void>;
  /** Changes that wait for the next command. */
  readonly #waiting = new Map<JobId, Change>();
  /** Changes of the command that is being carried out. */
  #underWay = new Map<JobId, Change>();
  #last: Promise<void> = Promise.resolve();

  constructor(db: Db) {
    const write = async (jobIds: JobId[]) => {
      for (const jobId of jobIds) {
        const change = this.#waiting.get(jobId);
        // Without a change, an earlier item of this job has written it.
        if (change) this.#underWay.set(jobId, change);
        this.#waiting.delete(jobId);
      }
      const updates = Array.from(this.#underWay, ([_id, change]) => ({ q: { _id }, u: { $set: change } }));
      try {
        if (updates.length > 0) await updateDerived(db, "jobs", updates);
      } finally {
        this.#underWay = new Map();
      }
      return jobIds.map(() => undefined);
    };
    this.#changes = new Group(write, { maxItems: maxBatch });
  }

  /**
   * Writes fields of a job, after all earlier changes of it.
   * @throws SluiceError
   */
  set(jobId: JobId, change: Change): Promise<void> {
    this.#waiting.set(jobId, { ...this.#waiting.get(jobId), ...change });
    const written = this.#changes.add(jobId);
    this.#last = written.catch(() => {});
    return written;
  }

  /** Returns the state that a job will have, as far as it is not written yet. */
  stateOf(jobId: JobId): JobState | undefined {
    return (this.#waiting.get(jobId) ?? this.#underWay.get(jobId))?.state;
  }

  /** Resolves when every change until now is written, or has failed. */
  written(): Promise<void> {
    return this.#last;
  }
}
