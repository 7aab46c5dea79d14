// The text of a call on its way to whoever listens. Pieces are counted whether anybody hears them or not, so that who
// missed some sees that; and all of them are kept together, so that who comes late, or comes back, is told them again.
import type { Attempt } from "../../domain/job.ts";
import type { EventBus } from "../../events/event-bus.ts";

/** What is kept of one call to be said again, in UTF-16 units: most answers, and little beside a call. */
const maxKept = 256 * 1024;

export class CallText {
  readonly #events: EventBus;
  #attempt: Attempt | undefined;
  #pieces = 0;
  /** Undefined once it is too long to be kept. */
  #kept: string | undefined = "";
  /** Pieces that were published, to whoever listened. */
  #published = 0;

  constructor(events: EventBus) {
    this.#events = events;
  }

  /** What an earlier attempt may have streamed is declared void first. */
  begin(attempt: Attempt, earlier: readonly Attempt[]): void {
    this.#attempt = attempt;
    const mayHaveStreamed = (a: Attempt) => !a.end || a.end.result === "transient" || a.end.result === "aborted";
    if (earlier.some(mayHaveStreamed)) {
      this.#events.publish({ type: "restart", jobId: attempt.jobId, attempt: attempt.n });
    }
  }

  /** The next piece. */
  readonly say = (text: string): void => {
    const { jobId, n: attempt } = this.#attempt!;
    const index = this.#pieces++;
    if (this.#kept !== undefined)
      this.#kept = this.#kept.length + text.length > maxKept ? undefined : this.#kept + text;
    if (!this.#events.hasListeners(jobId)) return;
    // Whoever submitted the job in another process may be heard of only after the first pieces.
    if (this.#published < index && this.#kept !== undefined) this.again();
    else {
      this.#published = this.#pieces;
      this.#events.publish({ type: "tokens", jobId, attempt, index, text });
    }
  };

  /** Says everything so far once more: somebody may have missed it. */
  readonly again = (): void => {
    const text = this.#kept;
    if (!this.#attempt || this.#pieces === 0 || text === undefined) return;
    const { jobId, n: attempt } = this.#attempt;
    this.#published = this.#pieces;
    this.#events.publish({ type: "tokens", jobId, attempt, index: 0, text, pieces: this.#pieces });
  };
}
