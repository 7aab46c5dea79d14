// Hears that there may be something to take, from whichever process made it so. A notice that is lost while the connection
// is away is made up for when it is back; and callers ask again by themselves after some seconds.
import { type Client, subscriberOf, untilReady } from "./scheduler-connection.ts";

export class Notices {
  readonly #channel: string;
  readonly #subscriber: Client;
  readonly #listeners = new Set<{ call: () => void }>();
  #subscribed: Promise<void> = Promise.resolve();
  #scheduled = false;

  constructor(client: Client, prefix: string) {
    this.#channel = `${prefix}work`;
    this.#subscriber = subscriberOf(client);
    this.#subscriber.on("message", () => this.tell());
    // Not left to the client, which after a reconnect has nobody hear it when that fails, as when it is closed meanwhile.
    this.#subscriber.on("ready", () => {
      const subscribed = this.#subscriber.subscribe(this.#channel).catch(() => {});
      this.#subscribed = subscribed.then(() => this.tell());
    });
    // Without a listener an error of the connection would end the process; the client reconnects by itself.
    this.#subscriber.on("error", () => {});
  }

  /** Resolves when notices are heard; while Redis is away, without: they are heard when it is back. */
  async start(timeoutMs: number): Promise<void> {
    await untilReady(this.#subscriber, timeoutMs);
    if (this.#subscriber.status === "ready") await this.#subscribed;
  }

  onWork(listener: () => void): () => void {
    const entry = { call: listener };
    this.#listeners.add(entry);
    return () => this.#listeners.delete(entry);
  }

  /** Calls the listeners soon: once for all notices of one turn of the event loop. */
  tell(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      for (const { call } of [...this.#listeners]) call();
    });
  }

  close(): void {
    this.#listeners.clear();
    this.#subscriber.disconnect();
  }
}
