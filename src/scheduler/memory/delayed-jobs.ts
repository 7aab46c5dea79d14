// Jobs that wait until their time, and how many of them each environment, priority and route has. There may be a
// million, so a report must not look at each.
import type { Owner } from "../fair-queue.ts";
import { IndexedHeap } from "../indexed-heap.ts";
import { comesBefore } from "../sorted-queue.ts";
import type { Entry } from "./queue-items.ts";

/** Delayed jobs of one environment, priority and route. */
interface DelayedCount extends Pick<Owner, "environment" | "priority"> {
  readonly route: string;
  jobs: number;
}

export class DelayedJobs {
  readonly #heap = new IndexedHeap<Entry>(comesDueBefore);
  readonly #counts = new Map<string, DelayedCount>();

  /** The job that is due first. */
  peek(): Entry | undefined {
    return this.#heap.peek();
  }

  add(entry: Entry): void {
    this.#heap.push(entry);
    const { environment, priority, route } = entry;
    const key = keyOf(entry);
    const count = this.#counts.get(key);
    if (count) count.jobs += 1;
    else this.#counts.set(key, { environment, priority, route, jobs: 1 });
  }

  delete(entry: Entry): void {
    this.#heap.delete(entry);
    const key = keyOf(entry);
    const count = this.#counts.get(key)!;
    count.jobs -= 1;
    if (count.jobs === 0) this.#counts.delete(key);
  }

  counts(): Iterable<Readonly<DelayedCount>> {
    return this.#counts.values();
  }
}

function keyOf({ environment, priority, route }: Entry): string {
  return `${environment}\n${priority}\n${route}`;
}

/**
 * Orders delayed jobs. Ties go by the order of submission, so that every implementation promotes them in the same
 * order.
 */
function comesDueBefore(a: Entry, b: Entry): boolean {
  return a.readyAt < b.readyAt || (a.readyAt === b.readyAt && comesBefore(a, b));
}
