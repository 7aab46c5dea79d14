// How much work one answer in JSON may cost. A schema of 2 KB can ask for 2^30 values, and the simulator shares its thread
// with the service.

/** Keys looked at, schemas merged and values written, all together. */
const maxWork = 100_000;
/** UTF-16 code units of JSON. */
const maxCharacters = 500_000;

export class FillBudget {
  readonly #characters: number;
  #work = maxWork;
  #left: number;

  /** @param characters of JSON that the answer can hold. Default and at most 500,000. */
  constructor(characters = maxCharacters) {
    this.#characters = Math.min(characters, maxCharacters);
    this.#left = this.#characters;
  }

  /** Whether the answer ends here, unfinished. */
  get isSpent(): boolean {
    return this.#work <= 0 || this.#left <= 0;
  }

  /** Whether more than half is spent, so that only what is required is still written. */
  get isShort(): boolean {
    return this.#work < maxWork / 2 || this.#characters - this.#left > maxCharacters / 2;
  }

  work(steps: number): void {
    this.#work -= steps;
  }

  /** Counts JSON that is written, and returns as much of it as there is room for. */
  written(json: string): string {
    const room = Math.max(0, this.#left);
    this.#left -= json.length;
    return json.length <= room ? json : json.slice(0, room);
  }
}
