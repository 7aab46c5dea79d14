// One grant on its way through this worker, and what may cut it off.
import type { Grant } from "../../scheduler/scheduler.ts";

/**
 * Why a call is cut off by us:
 * - `ended`       the job has an outcome: cancelled, or another worker's answer came first
 * - `expired`     its deadline passed
 * - `shutdown`    this process ends
 */
export type AbortCause = "ended" | "expired" | "shutdown";

export class RunningCall {
  readonly grant: Grant;
  /** When the call must have left; by the monotonic clock. */
  sendBy: number;
  /** Whether another worker may have the job. The call goes on all the same: the first outcome that is stored wins. */
  leaseLost = false;
  #cause: AbortCause | undefined;
  #decided = false;
  readonly #controller = new AbortController();

  /** @param acquiredAt when `acquire` was called, by the monotonic clock: the charge is no older than that */
  constructor(grant: Grant, acquiredAt: number) {
    this.grant = grant;
    this.sendBy = acquiredAt + grant.sendWithinMs;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The first cause; undefined while nothing cut it off. */
  get cause(): AbortCause | undefined {
    return this.#cause;
  }

  /** Cuts the call off, unless its end is known already: an answer that is being stored has been paid for. */
  abort(cause: AbortCause): void {
    if (this.#decided || this.#cause !== undefined) return;
    this.#cause = cause;
    this.#controller.abort();
  }

  /** From here on the call's end is known, and nothing cuts off the writing of it. */
  decide(): void {
    this.#decided = true;
  }
}
