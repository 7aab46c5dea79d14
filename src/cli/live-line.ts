// One line of a terminal that is drawn again in place.
import { cut, type Output } from "./terminal.ts";

/** Moves to the start of the line and erases it. */
const erase = "\r\u001b[K";

export class LiveLine {
  readonly #out: Output;
  #shown = false;

  constructor(out: Output) {
    this.#out = out;
  }

  /** Replaces the line. A longer text is cut, because a line that wraps cannot be erased. */
  show(text: string): void {
    this.#out.write(erase + cut(text, (this.#out.columns || 80) - 1));
    this.#shown = true;
  }

  /** Removes the line. */
  clear(): void {
    if (this.#shown) this.#out.write(erase);
    this.#shown = false;
  }
}
