// Supplies grant tokens to a script that does not yet know how many it needs. Unused tokens serve the next script.
export class GrantTokens {
  readonly #make: () => string;
  #spare: string[] = [];

  constructor(make: () => string) {
    this.#make = make;
  }

  draw(count: number): string[] {
    const drawn = this.#spare.splice(0, count);
    while (drawn.length < count) drawn.push(this.#make());
    return drawn;
  }

  /** Keeps tokens for the next `draw`. Pass only tokens that certainly were not granted. */
  reuse(tokens: readonly string[]): void {
    this.#spare = [...tokens, ...this.#spare];
  }
}
