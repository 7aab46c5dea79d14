// Grant tokens for a script that does not know yet how many it needs: those that it did not use serve the next one.
export class Tokens {
  readonly #make: () => string;
  #spare: string[] = [];

  constructor(make: () => string) {
    this.#make = make;
  }

  take(count: number): string[] {
    const taken = this.#spare.splice(0, count);
    while (taken.length < count) taken.push(this.#make());
    return taken;
  }

  /** Only tokens that certainly were not granted. */
  giveBack(tokens: readonly string[]): void {
    this.#spare = [...tokens, ...this.#spare];
  }
}
