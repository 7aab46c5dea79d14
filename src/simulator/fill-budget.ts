// Bounds the work for one JSON answer. A schema of 2 KB can ask for 2^30 values, and the simulator shares its thread
// with the service.

/** Maximum number of keys read, schemas merged and values written, all together. */
const maxWork = 100_000;
/** Maximum size of JSON, in UTF-16 code units. */
const maxCharacters = 500_000;

/** The remaining work and size of one answer. */
export class FillBudget {
  readonly #characters: number;
  #work = maxWork;
  #left: number;

  /**
   * Creates a budget.
   * @param characters size of JSON that the answer can hold, in UTF-16 code units. Default and maximum 500,000
   */
  constructor(characters = maxCharacters) {
    this.#characters = Math.min(characters, maxCharacters);
    this.#left = this.#characters;
  }

  /** Whether the budget is used up, so the answer ends unfinished. */
  get isSpent(): boolean {
    return this.#work <= 0 || this.#left <= 0;
  }

  /** Whether more than half is used, so only required parts are still written. */
  get isShort(): boolean {
    return this.#work < maxWork / 2 || this.#characters - this.#left > maxCharacters / 2;
  }

  work(steps: number): void {
    this.#work -= steps;
  }

  /** Counts JSON that is written, and returns as much of it as fits. */
  written(json: string): string {
    const room = Math.max(0, this.#left);
    this.#left -= json.length;
    return json.length <= room ? json : json.slice(0, room);
  }
}
