// Where a listener stands in a job's text, and what to tell it when pieces come, are missing, or are void.
//
// Text is never spliced and never lost. Pieces of one attempt are told in their order; when one is missing, nothing more
// is told until the answer is on record, and then its rest. When another attempt starts, what was told is declared void.
// The place of a listener is three numbers, so that it can come back to any process and go on.
import type { Outcome } from "../domain/job.ts";

/** The next piece of which attempt is expected, and how much of that attempt's text was told (in UTF-16 units). */
export interface TextPosition {
  attempt: number;
  next: number;
  chars: number;
}

/** Of whoever was told nothing yet. */
export const textStart: TextPosition = { attempt: 0, next: 0, chars: 0 };

export type TextNews =
  | { type: "text"; text: string }
  /** What was told before is void; the text begins anew. */
  | { type: "restart" }
  /** Pieces are missing: the rest comes when the job has ended. */
  | { type: "gap" };

export class TextFollower {
  #position: TextPosition;
  #gap = false;

  constructor(from: TextPosition) {
    this.#position = from;
  }

  get position(): TextPosition {
    return this.#position;
  }

  piece(attempt: number, index: number, text: string): TextNews[] {
    const news = this.attemptBegan(attempt);
    const { next, chars } = this.#position;
    if (attempt < this.#position.attempt || this.#gap || index < next) return news;
    if (index > next) {
      this.#gap = true;
      return [...news, { type: "gap" }];
    }
    this.#position = { attempt, next: next + 1, chars: chars + text.length };
    return [...news, { type: "text", text }];
  }

  /** Also of an attempt that is known. */
  attemptBegan(attempt: number): TextNews[] {
    return attempt > this.#position.attempt ? this.#startOver(attempt) : [];
  }

  /** The rest of a stored answer. */
  ended({ text = "", attempt }: Pick<Outcome, "text" | "attempt">): TextNews[] {
    const here = this.#position;
    const another = attempt !== undefined && attempt !== here.attempt;
    const news = another || text.length < here.chars ? this.#startOver(attempt ?? here.attempt) : [];
    const { next, chars } = this.#position;
    if (chars >= text.length) return news;
    this.#position = { attempt: this.#position.attempt, next: next + 1, chars: text.length };
    return [...news, { type: "text", text: text.slice(chars) }];
  }

  #startOver(attempt: number): TextNews[] {
    const told = this.#position.chars > 0;
    this.#position = { attempt, next: 0, chars: 0 };
    this.#gap = false;
    return told ? [{ type: "restart" }] : [];
  }
}
