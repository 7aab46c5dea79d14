// The channels that this process listens to. Wishes are gathered for one turn of the event loop and sent together: a
// thousand calls that begin or end at once are two commands. After a reconnect everything is subscribed again.
import type { Redis } from "ioredis";
import type { Logger } from "pino";
import { reasonOf } from "./event-connection.ts";

/** In one command; a thousand channels are some 60 KB. */
const batchSize = 1000;

interface ChannelsOptions {
  log: Logger;
  onMessage: (channel: string, text: string) => void;
  /** From now on messages arrive; also told again after a reconnect. */
  onActive: (channel: string) => void;
}

export class Channels {
  readonly #redis: Redis;
  readonly #options: ChannelsOptions;
  readonly #wanted = new Set<string>();
  /** What was asked of the present connection. */
  readonly #asked = new Set<string>();
  readonly #changed = new Set<string>();
  #flushing = false;

  constructor(redis: Redis, options: ChannelsOptions) {
    this.#redis = redis;
    this.#options = options;
    redis.on("message", options.onMessage);
    redis.on("ready", () => this.#startAgain());
  }

  open(channel: string): void {
    this.#wanted.add(channel);
    this.#change(channel);
  }

  close(channel: string): void {
    this.#wanted.delete(channel);
    this.#change(channel);
  }

  #startAgain(): void {
    this.#asked.clear();
    this.#changed.clear();
    for (const channel of this.#wanted) this.#change(channel);
  }

  #change(channel: string): void {
    this.#changed.add(channel);
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  #flush(): void {
    const changed = [...this.#changed];
    this.#changed.clear();
    // When it is ready again everything that is wanted is sent.
    if (this.#redis.status !== "ready") return;
    const open = changed.filter((channel) => this.#wanted.has(channel) && !this.#asked.has(channel));
    const close = changed.filter((channel) => !this.#wanted.has(channel) && this.#asked.has(channel));
    for (const batch of batches(open)) void this.#subscribe(batch);
    for (const batch of batches(close)) void this.#unsubscribe(batch);
  }

  async #subscribe(channels: readonly string[]): Promise<void> {
    for (const channel of channels) this.#asked.add(channel);
    try {
      await this.#redis.subscribe(...channels);
      for (const channel of channels) if (this.#wanted.has(channel)) this.#options.onActive(channel);
    } catch (error) {
      // Lost with its connection, which is reported elsewhere and made good after it; or refused, by an ACL perhaps.
      if (this.#redis.status !== "ready") return;
      this.#options.log.warn({ reason: reasonOf(error) }, "failed to subscribe to job events");
    }
  }

  async #unsubscribe(channels: readonly string[]): Promise<void> {
    for (const channel of channels) this.#asked.delete(channel);
    // What still arrives is ignored, and a connection that is lost has no channels.
    await this.#redis.unsubscribe(...channels).catch(() => {});
  }
}

function batches(channels: readonly string[]): string[][] {
  const result: string[][] = [];
  for (let i = 0; i < channels.length; i += batchSize) result.push(channels.slice(i, i + batchSize));
  return result;
}
