// Sends messages to subscribers, or drops them: events are best effort, and a publisher must not wait.
import type { Redis } from "ioredis";

/** Maximum number of messages that Redis has not confirmed. At 10,000 a second, a silent Redis fills it in a second. */
const maxUnconfirmed = 10_000;

/** Publishes messages without waiting, and counts dropped ones. */
export class Publisher {
  readonly #redis: Redis;
  readonly #maxUnconfirmed: number;
  readonly #unconfirmed = new Set<Promise<unknown>>();
  #dropped = 0;

  constructor(redis: Redis, limit = maxUnconfirmed) {
    this.#redis = redis;
    this.#maxUnconfirmed = limit;
  }

  /** Number of messages that were not sent, or that may not have been. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Publishes a message, pipelined with all others of this iteration of the event loop. */
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

  /** Resolves when every sent message is confirmed or given up. */
  async idle(): Promise<void> {
    await Promise.all(this.#unconfirmed);
  }
}
