// Whether what Redis shows is later than what this process has seen of it before.
//
// Every script counts up a sequence number within an epoch, which is new with each rebuild. A number that does not go up,
// or an epoch that had been left, tells that Redis holds an old snapshot: grants and charges since then are gone.
const epochsRemembered = 64;

export class History {
  #epoch: string | undefined;
  #sequence = 0;
  readonly #left = new Set<string>();

  /** Takes note of a reply, and answers whether it may be believed. To be called in the order of the replies. */
  accepts(epoch: string, sequence: number): boolean {
    if (epoch === this.#epoch) {
      if (sequence <= this.#sequence) return false;
      this.#sequence = sequence;
      return true;
    }
    if (this.#left.has(epoch)) return false;
    if (this.#epoch !== undefined) this.#leave(this.#epoch);
    this.#epoch = epoch;
    this.#sequence = sequence;
    return true;
  }

  /** Believes what is shown from here on: it has been told that it is old. */
  startFrom(epoch: string, sequence: number): void {
    this.#epoch = epoch;
    this.#sequence = sequence;
  }

  #leave(epoch: string): void {
    this.#left.add(epoch);
    if (this.#left.size > epochsRemembered) this.#left.delete(this.#left.values().next().value!);
  }
}
