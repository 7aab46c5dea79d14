// The timeouts of one call to any provider. Neither Node nor the AWS SDK has any by default. Half-open connections, on
// which neither a byte nor an end arrives, do occur, and a call without timeouts could hold its lease forever.

/** Timeouts of one call, in milliseconds. */
export interface CallTimeouts {
  /** Time until the connection is established, including the wait for a free one. Milliseconds, like all of these. */
  connectMs: number;
  /**
   * Time from sending the request to the first event of a stream. An unstreamed answer is silent until it is complete,
   * so this does not apply.
   */
  firstByteMs: number;
  /** Time between two events of a stream. */
  idleMs: number;
  /** Time from sending the request to the end. */
  totalMs: number;
}

/** The timeout that was exceeded, and its length in milliseconds. The transport keeps the timeout of the connection. */
export interface Expired {
  limit: "firstByte" | "idle" | "total";
  afterMs: number;
}

/**
 * Delay of a timer, in milliseconds, from which the process counts as frozen. Timers run before sockets are read, so an
 * answer that arrived meanwhile is still unread.
 */
const frozenMs = 1_000;
/** Time to read what arrived while the process was frozen, in milliseconds. */
const wakingMs = 5_000;

/** Watches the timeouts of one call. */
export class Deadlines {
  /** Aborts when the caller aborts or a timeout is exceeded. */
  readonly signal: AbortSignal;
  expired: Expired | undefined;
  readonly #controller = new AbortController();
  readonly #timeouts: CallTimeouts;
  readonly #now: () => number;
  readonly #caller: AbortSignal;
  readonly #abort = () => this.#controller.abort();
  #total: NodeJS.Timeout;
  #silence: NodeJS.Timeout | undefined;
  /** When the last event arrived, or else the request was sent. */
  #lastEventAt: number;
  #streaming = false;
  #waking = false;
  #stopped = false;

  /**
   * Starts the timers.
   * @param now monotonic clock in milliseconds, by which a frozen process is detected
   */
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

  /** Restarts the idle timer, because an event arrived. */
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
