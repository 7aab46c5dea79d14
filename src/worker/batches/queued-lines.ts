// What the queue has to know of the lines of a batch, for a million of them in 16 MB: most lines differ in their tokens
// alone, so what else there is to a line is kept once for all lines that share it.
import { type BatchId, lineJobId } from "../../domain/batch.ts";
import type { Job } from "../../domain/job.ts";
import type { QueuedJob } from "../../jobs/queue-entry.ts";

type Kind = Omit<QueuedJob, "id" | "tokens">;

/** Numbers for each line: its own, its kind, tokens of input and of output. */
const width = 4;

export class QueuedLines {
  readonly batchId: BatchId;
  readonly #kinds: Kind[] = [];
  /** Places in `#kinds`. */
  readonly #places = new Map<string, number>();
  /** Of the line before; its kind only if it has neither fallbacks nor regions nor a start. */
  #place = -1;
  #plain: Kind | undefined;
  #table = new Uint32Array(1024 * width);
  #size = 0;

  constructor(batchId: BatchId) {
    this.batchId = batchId;
  }

  get size(): number {
    return this.#size;
  }

  /** @param line counts from 1 */
  add(job: Job, line: number): void {
    const at = this.#size * width;
    if (at === this.#table.length) {
      const before = this.#table;
      this.#table = new Uint32Array(before.length * 2);
      this.#table.set(before);
    }
    this.#table[at] = line;
    this.#table[at + 1] = this.#placeOf(job);
    this.#table[at + 2] = job.tokens.input;
    this.#table[at + 3] = job.tokens.output;
    this.#size++;
  }

  /** Those from one index to another, which is not included. */
  jobs(from: number, to: number): QueuedJob[] {
    const jobs: QueuedJob[] = [];
    for (let i = from; i < Math.min(to, this.#size); i++) {
      const at = i * width;
      const tokens = { input: this.#table[at + 2]!, output: this.#table[at + 3]! };
      const kind = this.#kinds[this.#table[at + 1]!]!;
      jobs.push({ id: lineJobId(this.batchId, this.lineAt(i)), tokens, ...kind });
    }
    return jobs;
  }

  /** The number of the line at an index. */
  lineAt(index: number): number {
    return this.#table[index * width]!;
  }

  #placeOf({ environment, tenant, priority, model, fallbackModels, regions, submittedAt, notBefore }: Job): number {
    const isPlain = fallbackModels.length === 0 && regions === undefined && notBefore === undefined;
    // Nearly always: then no text is made to compare it.
    if (isPlain && this.#plain?.model === model && this.#plain.priority === priority) return this.#place;
    const key = JSON.stringify([priority, model, fallbackModels, regions, notBefore]);
    let place = this.#places.get(key);
    if (place === undefined) {
      place = this.#kinds.length;
      const kind: Kind = { environment, tenant, priority, model, fallbackModels, submittedAt, batchId: this.batchId };
      if (regions) kind.regions = regions;
      if (notBefore !== undefined) kind.notBefore = notBefore;
      this.#kinds.push(kind);
      this.#places.set(key, place);
    }
    this.#place = place;
    this.#plain = isPlain ? this.#kinds[place] : undefined;
    return place;
  }
}
