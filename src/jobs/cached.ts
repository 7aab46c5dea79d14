// Caches a value that takes a while to read and may be a little old.
import type { Clock } from "../domain/clock.ts";

export class Cached<T> {
  readonly #clock: Pick<Clock, "now">;
  readonly #freshMs: number;
  readonly #staleMs: number;
  readonly #read: () => Promise<T>;
  #value: { is: T; readAt: number; tookMs: number } | undefined;
  #reading: Promise<T> | undefined;

  /**
   * Creates a cache.
   * @param freshMs age after which the value is read again in the background, in milliseconds; at most a twentieth of
   *   the time is spent reading
   * @param staleMs age after which callers wait for a new value, in milliseconds
   */
  constructor(clock: Pick<Clock, "now">, freshMs: number, read: () => Promise<T>, staleMs = 10 * freshMs) {
    this.#clock = clock;
    this.#freshMs = freshMs;
    this.#staleMs = staleMs;
    this.#read = read;
  }

  /**
   * Returns the value.
   * @throws what reading throws, if no value is young enough
   */
  async get(): Promise<T> {
    const value = this.#value;
    if (!value) return this.#readAgain();
    if (this.#isYoung(value, this.#freshMs)) return value.is;
    const next = this.#readAgain();
    if (this.#clock.now() - value.readAt > this.#staleMs) return next;
    next.catch(() => {});
    return value.is;
  }

  /**
   * Reads the value again if it is older than this, in milliseconds. At most a twentieth of the time is spent reading.
   */
  async renew(olderThanMs: number): Promise<void> {
    if (!this.#value || !this.#isYoung(this.#value, olderThanMs)) await this.#readAgain();
  }

  #isYoung({ readAt, tookMs }: { readAt: number; tookMs: number }, ms: number): boolean {
    return this.#clock.now() - readAt <= Math.max(ms, 20 * tookMs);
  }

  #readAgain(): Promise<T> {
    const readAt = this.#clock.now();
    this.#reading ??= this.#read()
      .then((is) => {
        this.#value = { is, readAt, tookMs: this.#clock.now() - readAt };
        return is;
      })
      .finally(() => {
        this.#reading = undefined;
      });
    return this.#reading;
  }
}
