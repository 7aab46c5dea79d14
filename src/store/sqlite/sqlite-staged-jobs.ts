// Jobs that are laid ready, as the callers of the store see them; see stages.ts.
import type { JobId } from "../../domain/ids.ts";
import type { Job } from "../../domain/job.ts";
import type { StagedJobs } from "../job-store.ts";
import type { Place, WriteOperations } from "./protocol.ts";
import { pushStagedJob } from "./rows.ts";
import type { StoreThread } from "./sqlite-thread.ts";

/** Of the jobs that go to the writer together; about what 500 small ones have, and what a large one has alone. */
const charactersAtOnce = 400_000;
/** Writes that the writer has at a time, while the values of the next one are gathered. */
const writesAtOnce = 2;

export class SqliteStagedJobs implements StagedJobs {
  readonly #writer: StoreThread<WriteOperations>;
  readonly #place: Place;
  readonly #stage: number;
  /** Made at once of each job: kept as an object until others have come, it would cost the collector more than the row. */
  #values: (string | number | null)[] = [];
  #characters = 0;
  /** The oldest first. */
  readonly #underWay: Promise<void>[] = [];
  #failure: unknown;
  /** Row that the next insert begins with. */
  #next = 1;

  /** @param stage unique in this process */
  constructor(writer: StoreThread<WriteOperations>, place: Place, stage: number) {
    this.#writer = writer;
    this.#place = place;
    this.#stage = stage;
  }

  add(job: Job): Promise<void> | undefined {
    // After a failure rows would be missing.
    if (this.#failure !== undefined) return undefined;
    this.#characters += pushStagedJob(this.#values, job);
    return this.#characters < charactersAtOnce ? undefined : this.#write();
  }

  async ready(): Promise<void> {
    if (this.#values.length > 0) await this.#write();
    await Promise.all(this.#underWay);
    if (this.#failure !== undefined) throw this.#failure;
  }

  async insert(count: number): Promise<JobId[]> {
    const from = this.#next;
    this.#next += count;
    const rows = { ...this.#place, stage: this.#stage, from, to: this.#next };
    return this.#writer.ask("insertStaged", rows);
  }

  async drop(): Promise<void> {
    this.#values = [];
    await Promise.all(this.#underWay);
    await this.#writer.ask("dropStage", { database: this.#place.database, stage: this.#stage });
  }

  async #write(): Promise<void> {
    const values = this.#values;
    this.#values = [];
    this.#characters = 0;
    const { database } = this.#place;
    const writing = this.#writer.ask("stage", { database, stage: this.#stage, values }).catch((error) => {
      this.#failure ??= error;
    });
    this.#underWay.push(writing);
    if (this.#underWay.length > writesAtOnce) await this.#underWay.shift();
  }
}
