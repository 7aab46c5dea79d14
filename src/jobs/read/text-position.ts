// Tracks a listener's position in a job's text, and decides what to send when chunks arrive, are missing or become
// void. Text is never spliced and never lost. Chunks of one attempt are sent in order. After a gap, nothing is sent
// until the whole text so far is published again or the answer is stored; then the rest is sent. When another attempt
// starts, the text sent before is declared void. A position is three numbers, so that a listener can continue at any
// process.
import type { Outcome } from "../../domain/job.ts";

/**
 * A position: the attempt, the next expected chunk, and the number of UTF-16 units already sent. A listener that knows
 * only that number expects chunk 0, which is the repetition of all.
 */
export interface TextPosition {
  attempt: number;
  next: number;
  chars: number;
}

/** The position of a new listener. */
export const textStart: TextPosition = { attempt: 0, next: 0, chars: 0 };

export type TextNews =
  | { type: "text"; text: string }
  /** The text sent before is void, and the text starts again. */
  | { type: "restart" }
  /** Chunks are missing. The rest follows when they are published again, or when the job has ended. */
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

  /**
   * Handles a chunk.
   * @param pieces if the index is 0: number of chunks that the text contains
   */
  piece(attempt: number, index: number, text: string, pieces = 1): TextNews[] {
    const news = this.attemptBegan(attempt);
    const { next, chars } = this.#position;
    if (attempt < this.#position.attempt || index + pieces <= next) return news;
    // Either the text from the beginning, of which some may be known, or the next chunk.
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

  /** Handles the start of an attempt, even of a known one. */
  attemptBegan(attempt: number): TextNews[] {
    return attempt > this.#position.attempt ? this.#startOver(attempt) : [];
  }

  /** Returns the rest of a stored answer: of its text, or of its events if it is a stream in Bedrock's own format. */
  ended({ native, attempt, ...answer }: Pick<Outcome, "text" | "native" | "attempt">): TextNews[] {
    const text = native?.events ?? answer.text ?? "";
    const here = this.#position;
    const another = attempt !== undefined && attempt !== here.attempt;
    const news = another || text.length < here.chars ? this.#startOver(attempt ?? here.attempt) : [];
    const { next, chars } = this.#position;
    if (chars >= text.length) return news;
    this.#position = { attempt: this.#position.attempt, next: next + 1, chars: text.length };
    return [...news, { type: "text", text: text.slice(chars) }];
  }

  #startOver(attempt: number): TextNews[] {
    const hadText = this.#position.chars > 0;
    this.#position = { attempt, next: 0, chars: 0 };
    this.#gap = false;
    return hadText ? [{ type: "restart" }] : [];
  }
}
