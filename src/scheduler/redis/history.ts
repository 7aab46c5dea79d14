// Checks whether what Redis shows is later than what this process has seen of it before.
//
// Every script increments a sequence number within an epoch, and each rebuild starts a new epoch. If the number does
// not grow, or a past epoch returns, Redis holds an old snapshot. Grants and charges made since then are lost.
const epochsRemembered = 64;

export class History {
  #epoch: string | undefined;
  #sequence = 0;
  readonly #past = new Set<string>();

  /** Records a reply and returns whether it is newer than all earlier ones. Call it in the order of the replies. */
  accepts(epoch: string, sequence: number): boolean {
    if (epoch === this.#epoch) {
      if (sequence <= this.#sequence) return false;
      this.#sequence = sequence;
      return true;
    }
    if (this.#past.has(epoch)) return false;
    if (this.#epoch !== undefined) this.#addPast(this.#epoch);
    this.#epoch = epoch;
    this.#sequence = sequence;
    return true;
  }

  /** Accepts the present state, after Redis was told that it is old. */
  startFrom(epoch: string, sequence: number): void {
    this.#epoch = epoch;
    this.#sequence = sequence;
  }

  #addPast(epoch: string): void {
    this.#past.add(epoch);
    if (this.#past.size > epochsRemembered) this.#past.delete(this.#past.values().next().value!);
  }
}
