// Where a listener stands in a job's text, and what to tell it when pieces come, are missing, or are void.
//
// Text is never spliced and never lost. Pieces of one attempt are told in their order; when one is missing, nothing more
// is told until all so far are said again, or the answer is on record, and then the rest. When another attempt starts,
// what was told is declared void.
// The place of a listener is three numbers, so that it can come back to any process and go on.
import type { Outcome } from "../../domain/job.ts";

/**
 * The next piece of which attempt is expected, and how much of that attempt's text was told (in UTF-16 units). Who knows
 * only how much was told expects piece 0: that it is said again.
 */
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
  /** Pieces are missing: the rest comes when they are said again, or when the job has ended. */
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

  /** @param pieces with 0 as index: the text is that of so many */
  piece(attempt: number, index: number, text: string, pieces = 1): TextNews[] {
    const news = this.attemptBegan(attempt);
    const { next, chars } = this.#position;
    if (attempt < this.#position.attempt || index + pieces <= next) return news;
    // All of it from the beginning, of which some may be known; or the next piece, which is the beginning of what is not.
    const known = index === 0 ? chars : 0;
    if ((index !== 0 && (this.#gap || index !== next)) || known > text.length) {
      if (this.#gap) return news;
      this.#gap = true;
      return [...news, { type: "gap" }];
    }
    this.#gap = false;
    this.#position = { attempt, next: index + pieces, chars: chars + text.length - known };
    return text.length > known ? [...news, { type: "text", text: text.slice(known) }] : news;
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
