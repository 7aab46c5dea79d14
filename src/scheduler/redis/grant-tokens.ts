// Supplies grant tokens to a script that does not yet know how many it needs. Unused tokens serve the next script.
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

  /** Keeps tokens for the next `draw`. Pass only tokens that certainly were not granted. */
  giveBack(tokens: readonly string[]): void {
    this.#spare = [...tokens, ...this.#spare];
  }
}
