// Represents one grant in this worker, and what may abort its call.
import type { Grant } from "../../scheduler/scheduler.ts";

/**
 * Why this process aborts a call:
 * - `ended`       the job has an outcome: it was cancelled, or another worker's answer came first
 * - `expired`     its deadline passed
 * - `shutdown`    this process ends
 */
export type AbortCause = "ended" | "expired" | "shutdown";

export class RunningCall {
  readonly grant: Grant;
  /** Latest time to send the call, by the monotonic clock in milliseconds. */
  sendBy: number;
  /** Whether another worker may have the job. The call continues, because the first stored outcome wins. */
  leaseLost = false;
  #cause: AbortCause | undefined;
  #decided = false;
  readonly #controller = new AbortController();

  /**
   * Creates a running call.
   * @param acquiredAt when `acquire` was called, by the monotonic clock in milliseconds; the charge is no older
   */
  constructor(grant: Grant, acquiredAt: number) {
    this.grant = grant;
    this.sendBy = acquiredAt + grant.sendWithinMs;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The first cause of an abort. Undefined while there is none. */
  get cause(): AbortCause | undefined {
    return this.#cause;
  }

  /** Aborts the call, unless its end is already known: an answer that is being stored has been paid for. */
  abort(cause: AbortCause): void {
    if (this.#decided || this.#cause !== undefined) return;
    this.#cause = cause;
    this.#controller.abort();
  }

  /** Marks the end of the call as known. From now on, nothing aborts the writing of it. */
  decide(): void {
    this.#decided = true;
  }
}
