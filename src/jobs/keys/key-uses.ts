// Remembers when each API key was last used. A use is only noted in memory; what has changed is written at most once a
// minute for each key. A process that dies loses the uses of its last minute.
import type { Clock } from "../../domain/clock.ts";
import { type HasRecords, serviceCollection } from "../../store/collection.ts";

/** Time of the last use, in milliseconds since the epoch, by the id of the key. */
const storedUses = serviceCollection<number>({ stored: "controls", id: "key-used/*", order: "key-used/" });

/** Interval between two writes, in milliseconds. */
const saveMs = 60_000;
const readAtOnce = 1000;
const writtenAtOnce = 50;

/** Returns the stored last uses, without keys that were never used. */
export async function readUses(store: HasRecords, keyIds: readonly string[]): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (let i = 0; i < keyIds.length; i += readAtOnce) {
    const some = await storedUses(store).getMany(keyIds.slice(i, i + readAtOnce));
    for (const [id, at] of some) found.set(id, at);
  }
  return found;
}

export class KeyUses {
  readonly #store: HasRecords;
  readonly #clock: Clock;
  readonly #noted = new Map<string, number>();
  readonly #unsaved = new Set<string>();
  #savedAt = Number.NEGATIVE_INFINITY;

  constructor(store: HasRecords, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** Notes that a key is used now. Writes nothing. */
  note(keyId: string): void {
    this.#noted.set(keyId, this.#clock.wall());
    this.#unsaved.add(keyId);
  }

  /**
   * Returns the last uses in all processes, by the id of the key. Those in other processes may be a minute old.
   * @throws what the store throws
   */
  async of(keyIds: readonly string[]): Promise<Map<string, number>> {
    const found = await readUses(this.#store, keyIds);
    for (const id of keyIds) {
      const noted = this.#noted.get(id);
      if (noted !== undefined) found.set(id, Math.max(noted, found.get(id) ?? 0));
    }
    return found;
  }

  /** Writes what was noted, unless the last write was less than a minute ago. */
  async saveIfDue(): Promise<void> {
    if (this.#clock.now() - this.#savedAt >= saveMs) await this.save();
  }

  /**
   * Writes what was noted since the last write.
   * @throws what the store throws; the next call tries again
   */
  async save(): Promise<void> {
    this.#savedAt = this.#clock.now();
    const ids = [...this.#unsaved];
    for (let i = 0; i < ids.length; i += writtenAtOnce) {
      await Promise.all(ids.slice(i, i + writtenAtOnce).map((id) => this.#write(id)));
    }
  }

  async #write(id: string): Promise<void> {
    this.#unsaved.delete(id);
    try {
      await storedUses(this.#store).put({ id, value: this.#noted.get(id)! });
    } catch (error) {
      this.#unsaved.add(id);
      throw error;
    }
  }
}
