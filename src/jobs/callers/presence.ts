// How other processes know that a process which holds calls is alive: it writes a counter every few seconds. Only where
// several processes share the store. An observer compares counters, not times, so clocks may differ.
import { serviceCollection } from "../../store/collection.ts";
import type { JobsContext } from "../jobs-context.ts";

type Context = Pick<JobsContext, "store">;

/** How often a process writes its counter and an observer reads all of them, in milliseconds. */
export const beatMs = 3_000;
/** After so many reads in a row without a change a process counts as dead: 15 s. */
const deadAfterReads = 5;

/** By process. */
const beats = serviceCollection<{ beat: number }>({ stored: "controls", id: "process/*", order: "process/" });

/** Returns the function that writes the next beat of a process. */
export function heartbeat({ store }: Context, processId: string): () => Promise<void> {
  let beat = 0;
  return () => beats(store).put({ id: processId, value: { beat: ++beat } });
}

/** Removes what is on record of a process that is dead. */
export async function removeProcess({ store }: Context, processId: string): Promise<void> {
  await beats(store).remove(processId);
}

/** `unknown`: it has not been observed for long enough. */
export type Presence = "alive" | "unknown" | "dead";

/** What one observer knows of the other processes. */
export class PresenceObserver {
  readonly #context: Context;
  readonly #own: string | undefined;
  readonly #isAlone: boolean;
  readonly #seen = new Map<string, { beat: number; unchanged: number; isAlive: boolean }>();
  #hasRead = false;

  /**
   * @param own the id of this process, which is alive; absent if it holds no calls
   * @param isAlone whether there can be no other process
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

  /** Processes that died, as far as anything of them is on record. */
  get dead(): string[] {
    return [...this.#seen.keys()].filter((id) => this.of(id) === "dead");
  }

  /** Reads the counters. To be called every `beatMs`. */
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
