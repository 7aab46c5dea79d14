// Writes what is cached on jobs of how they stand. One command at a time; what happens to a job while it waits for its
// turn is one change. Where changes are dear, the start of a call is held back for a while: most calls have ended by then,
// and their job is changed once, and not twice.
import type { Db } from "mongodb";
import type { JobId } from "../../domain/ids.ts";
import type { JobState } from "../../domain/job.ts";
import { updateDerived } from "./commands.ts";
import type { JobDocument } from "./documents.ts";
import { Group } from "./group.ts";
import type { ServerKind } from "./server-kind.ts";

type Change = { state: JobState } & Partial<JobDocument>;

/** Jobs in one command. */
const maxBatch = 1_000;

export class StateCache {
  readonly #holdMs: number;
  readonly #changes: Group<JobId, void>;
  /** What is not written yet, by job. */
  readonly #waiting = new Map<JobId, Change>();
  /** What is being written. */
  #underWay = new Map<JobId, Change>();
  #held: JobId[] = [];
  #timer: NodeJS.Timeout | undefined;
  #last: Promise<void> = Promise.resolve();

  constructor(db: Db, { holdStatesMs }: Pick<ServerKind, "holdStatesMs">) {
    this.#holdMs = holdStatesMs;
    const write = async (jobIds: JobId[]) => {
      for (const jobId of jobIds) {
        const change = this.#waiting.get(jobId);
        // Without one it was written already, together with an earlier change.
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

  /** Writes fields of a job, after everything that was said of it before. @throws SluiceError */
  set(jobId: JobId, change: Change): Promise<void> {
    this.#waiting.set(jobId, { ...this.#waiting.get(jobId), ...change });
    const written = this.#changes.add(jobId);
    this.#last = written.catch(() => {});
    return written;
  }

  /** The same for what may be written later, or never if something else follows soon. */
  setSoon(jobId: JobId, change: Change): void {
    this.#waiting.set(jobId, { ...this.#waiting.get(jobId), ...change });
    this.#held.push(jobId);
    if (this.#holdMs === 0) this.#letGo();
    else this.#timer ??= setTimeout(() => this.#letGo(), this.#holdMs);
  }

  /** What will stand on the job, as far as that is not written yet. */
  stateOf(jobId: JobId): JobState | undefined {
    return (this.#waiting.get(jobId) ?? this.#underWay.get(jobId))?.state;
  }

  /** Resolves when everything that was said until now is written, or has failed. */
  written(): Promise<void> {
    this.#letGo();
    return this.#last;
  }

  #letGo(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const held = this.#held.filter((jobId) => this.#waiting.has(jobId));
    this.#held = [];
    // A state that lags is set anew by what happens to the job next.
    for (const jobId of held) this.#last = this.#changes.add(jobId).catch(() => {});
  }
}
