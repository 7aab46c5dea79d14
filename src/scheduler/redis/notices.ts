// Receives notices that acquire may have something to grant. A script notifies this process on its own channel if it is
// idle (state.lua). All processes share another channel for changes that concern all of them. A notice is lost while
// Redis is unavailable, so the listeners are notified on reconnect. Callers also retry on their own after some seconds.
import { newToken } from "../../domain/ids.ts";
import { type Client, subscriberOf, untilReady } from "./scheduler-connection.ts";

export class Notices {
  readonly #id = newToken();
  readonly #channels: { all: string; own: string };
  readonly #subscriber: Client;
  readonly #passOn: () => void;
  readonly #listeners = new Set<{ call: () => void }>();
  #subscribed: Promise<void> = Promise.resolve();
  #scheduled = false;

  /** @param passOn called when this process is notified but no longer listens, to notify another one */
  constructor(client: Client, prefix: string, passOn: () => void) {
    this.#channels = { all: `${prefix}work`, own: `${prefix}work:${this.#id}` };
    this.#passOn = passOn;
    this.#subscriber = subscriberOf(client);
    this.#subscriber.on("message", (channel) => {
      if (channel === this.#channels.own && this.#listeners.size === 0) this.#passOn();
      else this.notify();
    });
    // The client's own resubscription after a reconnect rejects without a handler, for example if it is closed
    // meanwhile.
    this.#subscriber.on("ready", () => {
      const { all, own } = this.#channels;
      const subscribed = this.#subscriber.subscribe(all, own).catch(() => {});
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

  /** Id under which acquire lists this process as idle. Undefined without a listener. */
  get process(): string | undefined {
    return this.#listeners.size > 0 ? this.#id : undefined;
  }

  /**
   * Calls the listener on each notice. Returns a function that removes it. Removing the last listener notifies another
   * process, because this one may not answer its last notice.
   */
  onWork(listener: () => void): () => void {
    const entry = { call: listener };
    this.#listeners.add(entry);
    return () => {
      if (this.#listeners.delete(entry) && this.#listeners.size === 0) this.#passOn();
    };
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
