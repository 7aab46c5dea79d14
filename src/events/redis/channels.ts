// The Redis channels that this process listens to. Collects changes during one iteration of the event loop and sends
// them together. A thousand calls that begin or end at once take two commands. Subscribes everything again after a
// reconnect.
import type { Redis } from "ioredis";
import type { Logger } from "pino";
import { reasonOf } from "./event-connection.ts";

/** Channels per command. A thousand are about 60 KB. */
const batchSize = 1000;

interface ChannelsOptions {
  log: Logger;
  onMessage: (channel: string, text: string) => void;
  /** Called when messages begin to arrive, and again after each reconnect. */
  onActive: (channel: string) => void;
}

/** Keeps subscriptions equal to the set of wanted channels. */
export class Channels {
  readonly #redis: Redis;
  readonly #options: ChannelsOptions;
  readonly #wanted = new Set<string>();
  /** Channels that the current connection was asked for. */
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
    // When the connection is ready again, everything wanted is subscribed.
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
      // Either the connection was lost, which is logged elsewhere and repaired on reconnect, or Redis refused, perhaps
      // by an ACL.
      if (this.#redis.status !== "ready") return;
      this.#options.log.warn({ reason: reasonOf(error) }, "failed to subscribe to job events");
    }
  }

  async #unsubscribe(channels: readonly string[]): Promise<void> {
    for (const channel of channels) this.#asked.delete(channel);
    // Messages that still arrive are ignored, and a lost connection has no channels.
    await this.#redis.unsubscribe(...channels).catch(() => {});
  }
}

function batches(channels: readonly string[]): string[][] {
  const result: string[][] = [];
  for (let i = 0; i < channels.length; i += batchSize) result.push(channels.slice(i, i + batchSize));
  return result;
}
