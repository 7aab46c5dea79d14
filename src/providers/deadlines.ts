// The time limits of one call, whoever is called. Neither Node nor the AWS SDK has any by default, and half-open
// connections on which neither a byte nor an end ever comes do happen, so a call without them could hold its lease for ever.

export interface CallTimeouts {
  /** Until the connection stands; waiting for a free one counts. Milliseconds, like all of these. */
  connectMs: number;
  /** From sending to the first event of a stream. An answer in one piece has no first byte: it is silent until it is done. */
  firstByteMs: number;
  /** Between two events of a stream. */
  idleMs: number;
  /** From sending to the end. */
  totalMs: number;
}

/** Which limit was exceeded, and its length. The connection's limit is kept by the transport. */
export interface Expired {
  limit: "firstByte" | "idle" | "total";
  afterMs: number;
}

/**
 * A timer that fires this much too late was held up, because the process was frozen. Timers run before sockets are read,
 * so an answer that arrived meanwhile is still unread.
 */
const frozenMs = 1_000;
/** Time to read what arrived while the process was frozen, in milliseconds. */
const wakingMs = 5_000;

export class Deadlines {
  /** Aborts when the caller aborts or a limit is exceeded. */
  readonly signal: AbortSignal;
  expired: Expired | undefined;
  readonly #controller = new AbortController();
  readonly #timeouts: CallTimeouts;
  readonly #now: () => number;
  readonly #caller: AbortSignal;
  readonly #abort = () => this.#controller.abort();
  #total: NodeJS.Timeout;
  #silence: NodeJS.Timeout | undefined;
  /** When the last event came, or else the request was sent. */
  #lastEventAt: number;
  #streaming = false;
  #waking = false;
  #stopped = false;

  /** @param now a monotonic clock in milliseconds, by which a frozen process is noticed */
  constructor(timeouts: CallTimeouts, signal: AbortSignal, streams: boolean, now = () => performance.now()) {
    this.#timeouts = timeouts;
    this.#now = now;
    this.signal = this.#controller.signal;
    this.#caller = signal;
    signal.addEventListener("abort", this.#abort, { once: true });
    const sentAt = now();
    this.#lastEventAt = sentAt;
    this.#total = setTimeout(() => {
      if (this.#wasFrozen(sentAt, timeouts.totalMs)) {
        this.#total = setTimeout(() => this.#expire("total", timeouts.totalMs), wakingMs);
      } else this.#expire("total", timeouts.totalMs);
    }, timeouts.totalMs);
    if (streams) this.#awaitEvent("firstByte", timeouts.firstByteMs);
  }

  /** An event has come. */
  onEvent(): void {
    if (this.#stopped) return;
    this.#lastEventAt = this.#now();
    if (this.#streaming && !this.#waking) {
      this.#silence?.refresh();
      return;
    }
    this.#streaming = true;
    this.#waking = false;
    clearTimeout(this.#silence);
    this.#awaitEvent("idle", this.#timeouts.idleMs);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#total);
    clearTimeout(this.#silence);
    this.#caller.removeEventListener("abort", this.#abort);
  }

  #awaitEvent(limit: "firstByte" | "idle", afterMs: number): void {
    this.#silence = setTimeout(() => {
      if (this.#wasFrozen(this.#lastEventAt, afterMs)) {
        this.#waking = true;
        this.#silence = setTimeout(() => this.#expire(limit, afterMs), wakingMs);
      } else this.#expire(limit, afterMs);
    }, afterMs);
  }

  #wasFrozen(since: number, ms: number): boolean {
    return this.#now() - since > ms + frozenMs;
  }

  #expire(limit: Expired["limit"], afterMs: number): void {
    this.expired = { limit, afterMs };
    this.stop();
    this.#abort();
  }
}
