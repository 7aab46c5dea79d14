// Sends messages to whoever listens, or drops them: events are best effort, and whoever publishes one must not wait.
import type { Redis } from "ioredis";

/** Messages that Redis has not confirmed. At 10,000 a second it would have to be silent for a second to fill this. */
const maxUnconfirmed = 10_000;

export class Publisher {
  readonly #redis: Redis;
  readonly #maxUnconfirmed: number;
  readonly #unconfirmed = new Set<Promise<unknown>>();
  #dropped = 0;

  constructor(redis: Redis, limit = maxUnconfirmed) {
    this.#redis = redis;
    this.#maxUnconfirmed = limit;
  }

  /** Messages that were not sent, or of which nobody knows whether they were. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Sent with all others of this turn of the event loop. */
  publish(channel: string, message: string): void {
    if (this.#redis.status !== "ready" || this.#unconfirmed.size >= this.#maxUnconfirmed) {
      this.#dropped++;
      return;
    }
    const sent = this.#redis
      .publish(channel, message)
      .catch(() => {
        this.#dropped++;
      })
      .finally(() => this.#unconfirmed.delete(sent));
    this.#unconfirmed.add(sent);
  }

  /** Resolves when everything that was sent is confirmed or given up. */
  async idle(): Promise<void> {
    await Promise.all(this.#unconfirmed);
  }
}
