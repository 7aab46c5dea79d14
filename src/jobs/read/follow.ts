// Follows a running job: its states and text as they occur, and missed ones from the store.
import type { JobId } from "../../domain/ids.ts";
import { isFinal, type JobRecord, type JobState } from "../../domain/job.ts";
import type { JobEvent } from "../../events/event-bus.ts";
import type { Caller } from "../caller.ts";
import type { JobsContext } from "../jobs-context.ts";
import { TextFollower, type TextNews, type TextPosition, textStart } from "./text-position.ts";
import { EndWatch, type WaitOptions } from "./wait.ts";

/** News of a job. The text of a streamed native request is whole lines of `NativeAnswer.events`. */
export type JobNews = TextNews | { type: "state"; state: JobState };

/**
 * Receives news of a job.
 * @param position the listener's position after this news
 */
export type NewsListener = (news: JobNews, position: TextPosition) => void;

/** Passes a job's news to a listener. It keeps no text, so a listener that is slow must limit its own buffer. */
export class JobFollower {
  readonly #watch: EndWatch;
  readonly #text: TextFollower;
  readonly #notify: NewsListener;
  #lastState?: JobState;
  #ended = false;

  /** Listens from now on, even before the job is stored. */
  constructor(context: JobsContext, jobId: JobId, listener: NewsListener, from: TextPosition = textStart) {
    this.#text = new TextFollower(from);
    this.#notify = listener;
    this.#watch = new EndWatch(context, jobId, (event) => this.#onEvent(event));
  }

  /**
   * Waits like `waitForEnd`. When it resolves with an outcome, the listener has received the whole text and then the
   * final state.
   * @throws SluiceError `job_not_found`, and what the store throws
   */
  async untilEnd(caller: Caller, options: WaitOptions): Promise<JobRecord> {
    const record = await this.#watch.untilEnd(caller, { ...options, onRecord: (read) => this.#read(read) });
    if (!record.outcome || this.#ended) return record;
    this.#ended = true;
    if (record.outcome.status === "completed") this.#notifyAll(this.#text.ended(record.outcome));
    this.#notifyState(record.outcome.status);
    return record;
  }

  stop(): void {
    this.#ended = true;
    this.#watch.stop();
  }

  #onEvent(event: JobEvent): void {
    if (this.#ended) return;
    switch (event.type) {
      case "state":
        // A final state follows the whole text, which is stored by now.
        if (!isFinal(event.state)) this.#notifyState(event.state);
        break;
      case "restart":
        this.#notifyAll(this.#text.attemptBegan(event.attempt));
        break;
      case "tokens":
        this.#notifyAll(this.#text.piece(event.attempt, event.index, event.text, event.pieces));
    }
  }

  /** Sends what a late or returning listener has missed. */
  #read({ state, outcome, attempts }: JobRecord): void {
    if (outcome || this.#ended) return;
    this.#notifyAll(this.#text.attemptBegan(attempts.at(-1)?.n ?? 0));
    if (this.#lastState === undefined) this.#notifyState(state);
  }

  #notifyAll(news: readonly TextNews[]): void {
    for (const one of news) this.#notify(one, this.#text.position);
  }

  #notifyState(state: JobState): void {
    if (state === this.#lastState) return;
    this.#lastState = state;
    this.#notify({ type: "state", state }, this.#text.position);
  }
}
