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

export class Deadlines {
  /** Aborts when the caller aborts or a limit is exceeded. */
  readonly signal: AbortSignal;
  expired: Expired | undefined;
  readonly #controller = new AbortController();
  readonly #timeouts: CallTimeouts;
  readonly #total: NodeJS.Timeout;
  readonly #caller: AbortSignal;
  readonly #abort = () => this.#controller.abort();
  #silence: NodeJS.Timeout | undefined;
  #streaming = false;
  #stopped = false;

  constructor(timeouts: CallTimeouts, signal: AbortSignal, streams: boolean) {
    this.#timeouts = timeouts;
    this.signal = this.#controller.signal;
    this.#caller = signal;
    signal.addEventListener("abort", this.#abort, { once: true });
    this.#total = setTimeout(() => this.#expire("total", timeouts.totalMs), timeouts.totalMs);
    if (streams)
      this.#silence = setTimeout(() => this.#expire("firstByte", timeouts.firstByteMs), timeouts.firstByteMs);
  }

  /** An event has come. */
  heard(): void {
    if (this.#stopped) return;
    if (this.#streaming) {
      this.#silence?.refresh();
      return;
    }
    this.#streaming = true;
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#expire("idle", this.#timeouts.idleMs), this.#timeouts.idleMs);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#total);
    clearTimeout(this.#silence);
    this.#caller.removeEventListener("abort", this.#abort);
  }

  #expire(limit: Expired["limit"], afterMs: number): void {
    this.expired = { limit, afterMs };
    this.stop();
    this.#abort();
  }
}
