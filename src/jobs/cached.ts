// A value that takes a while to find out and may be a little old.
import type { Clock } from "../domain/clock.ts";

export class Cached<T> {
  readonly #clock: Pick<Clock, "now">;
  readonly #freshMs: number;
  readonly #staleMs: number;
  readonly #read: () => Promise<T>;
  #value: { is: T; readAt: number; tookMs: number } | undefined;
  #reading: Promise<T> | undefined;

  /**
   * @param freshMs an older value is read again, in the background: at most a twentieth of the time goes into reading
   * @param staleMs one that is older than this is waited for
   */
  constructor(clock: Pick<Clock, "now">, freshMs: number, read: () => Promise<T>, staleMs = 10 * freshMs) {
    this.#clock = clock;
    this.#freshMs = freshMs;
    this.#staleMs = staleMs;
    this.#read = read;
  }

  /** @throws what reading throws, if there is no value that is young enough */
  async get(): Promise<T> {
    const value = this.#value;
    if (!value) return this.#readAgain();
    if (this.#isYoung(value, this.#freshMs)) return value.is;
    const next = this.#readAgain();
    if (this.#clock.now() - value.readAt > this.#staleMs) return next;
    next.catch(() => {});
    return value.is;
  }

  /** Reads the value again if it is older than this; at most a twentieth of the time goes into reading. */
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
