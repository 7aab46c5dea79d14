// Detects whether other processes with waiting callers are alive: each writes a counter every few seconds. This happens
// only if several processes share the store. An observer compares counters, not times, so clocks may differ.
import { serviceCollection } from "../../store/collection.ts";
import type { JobsContext } from "../jobs-context.ts";

type Context = Pick<JobsContext, "store">;

/** Interval at which a process writes its counter and an observer reads all counters, in milliseconds. */
export const beatMs = 3_000;
/** Consecutive reads without a change after which a process counts as dead: 15 s. */
const deadAfterReads = 5;

/** By process. */
const beats = serviceCollection<{ beat: number }>({ stored: "controls", id: "process/*", order: "process/" });

/** Returns the function that writes the next beat of a process. */
export function heartbeat({ store }: Context, processId: string): () => Promise<void> {
  let beat = 0;
  return () => beats(store).put({ id: processId, value: { beat: ++beat } });
}

/** Removes the records of a dead process. */
export async function removeProcess({ store }: Context, processId: string): Promise<void> {
  await beats(store).remove(processId);
}

/** State of a process. `unknown`: it was not observed for long enough. */
export type Presence = "alive" | "unknown" | "dead";

/** Tracks what one observer knows about other processes. */
export class PresenceObserver {
  readonly #context: Context;
  readonly #own: string | undefined;
  readonly #isAlone: boolean;
  readonly #seen = new Map<string, { beat: number; unchanged: number; isAlive: boolean }>();
  #hasRead = false;

  /**
   * Creates an observer.
   * @param own id of this process, which is alive; absent if it has no waiting callers
   * @param isAlone whether no other process can exist
   */
  constructor(context: Context, { own, isAlone }: { own?: string | undefined; isAlone: boolean }) {
    this.#context = context;
    this.#own = own;
    this.#isAlone = isAlone;
  }

  of(processId: string): Presence {
    if (processId === this.#own) return "alive";
    if (this.#isAlone) return "dead";
    const seen = this.#seen.get(processId);
    if (!seen) return this.#hasRead ? "dead" : "unknown";
    if (seen.unchanged >= deadAfterReads) return "dead";
    return seen.isAlive ? "alive" : "unknown";
  }

  /** Dead processes that still have records. */
  get dead(): string[] {
    return [...this.#seen.keys()].filter((id) => this.of(id) === "dead");
  }

  /** Reads the counters. Call it every `beatMs`. */
  async read(): Promise<void> {
    if (this.#isAlone) return;
    const found = new Set<string>();
    for await (const { id, value } of beats(this.#context.store).all()) {
      found.add(id);
      this.#note(id, value.beat);
    }
    for (const id of this.#seen.keys()) if (!found.has(id)) this.#seen.delete(id);
    this.#hasRead = true;
  }

  #note(processId: string, beat: number): void {
    const seen = this.#seen.get(processId);
    if (!seen) this.#seen.set(processId, { beat, unchanged: 0, isAlive: false });
    else if (seen.beat === beat) seen.unchanged++;
    else this.#seen.set(processId, { beat, unchanged: 0, isAlive: true });
  }
}
