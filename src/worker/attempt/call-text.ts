// Sends the text of a call to its listeners. Chunks are numbered even without listeners, so a late one can detect a
// gap. All chunks are also kept together, so that it can receive them again.
import type { Attempt } from "../../domain/job.ts";
import type { EventBus } from "../../events/event-bus.ts";

/** Maximum text of one call that is kept for repetition, in UTF-16 units. This suffices for most answers. */
const maxKept = 256 * 1024;

export class CallText {
  readonly #events: EventBus;
  #attempt: Attempt | undefined;
  #pieces = 0;
  /** The text so far. Undefined once it is too long to keep. */
  #kept: string | undefined = "";
  /** Number of published chunks, with or without listeners. */
  #published = 0;

  constructor(events: EventBus) {
    this.#events = events;
  }

  /** Begins an attempt. First it declares the text of earlier attempts void. */
  begin(attempt: Attempt, earlier: readonly Attempt[]): void {
    this.#attempt = attempt;
    const mayHaveStreamed = (a: Attempt) => !a.end || a.end.result === "transient" || a.end.result === "aborted";
    if (earlier.some(mayHaveStreamed)) {
      this.#events.publish({ type: "restart", jobId: attempt.jobId, attempt: attempt.n });
    }
  }

  /** Publishes the next chunk. */
  readonly publish = (text: string): void => {
    const { jobId, n: attempt } = this.#attempt!;
    const index = this.#pieces++;
    if (this.#kept !== undefined)
      this.#kept = this.#kept.length + text.length > maxKept ? undefined : this.#kept + text;
    if (!this.#events.hasListeners(jobId)) return;
    // A listener in another process may subscribe after the first chunks.
    if (this.#published < index && this.#kept !== undefined) this.republish();
    else {
      this.#published = this.#pieces;
      this.#events.publish({ type: "tokens", jobId, attempt, index, text });
    }
  };

  /** Publishes the whole text so far again, because a listener may have missed some. */
  readonly republish = (): void => {
    const text = this.#kept;
    if (!this.#attempt || this.#pieces === 0 || text === undefined) return;
    const { jobId, n: attempt } = this.#attempt;
    this.#published = this.#pieces;
    this.#events.publish({ type: "tokens", jobId, attempt, index: 0, text, pieces: this.#pieces });
  };
}
