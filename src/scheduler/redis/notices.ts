// Receives notices from any process that acquire may have something to grant. A notice is lost while Redis is
// unavailable, so the listeners are notified on reconnect. Callers also retry on their own after some seconds.
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
    this.#subscriber.on("message", () => this.notify());
    // The client's own resubscription after a reconnect rejects without a handler, for example if it is closed
    // meanwhile.
    this.#subscriber.on("ready", () => {
      const subscribed = this.#subscriber.subscribe(this.#channel).catch(() => {});
      this.#subscribed = subscribed.then(() => this.notify());
    });
    // Without a listener, a connection error would end the process. The client reconnects by itself.
    this.#subscriber.on("error", () => {});
  }

  /**
   * Resolves when notices are received. Also resolves while Redis is unavailable; they are then received once it is
   * back.
   */
  async start(timeoutMs: number): Promise<void> {
    await untilReady(this.#subscriber, timeoutMs);
    if (this.#subscriber.status === "ready") await this.#subscribed;
  }

  onWork(listener: () => void): () => void {
    const entry = { call: listener };
    this.#listeners.add(entry);
    return () => this.#listeners.delete(entry);
  }

  /** Calls the listeners soon: once for all notices of one pass of the event loop. */
  notify(): void {
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
