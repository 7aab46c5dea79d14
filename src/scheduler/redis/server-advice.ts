// Finds what the operator should change about a Redis server that works, using INFO.
import type { Clock } from "../../domain/clock.ts";
import { type Client, command } from "./scheduler-connection.ts";

const refreshMs = 10_000;

export class ServerAdvice {
  readonly #client: Client;
  readonly #clock: Clock;
  #queriedAt = Number.NEGATIVE_INFINITY;
  #advice: Promise<string[]> = Promise.resolve([]);

  constructor(client: Client, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }

  /**
   * Returns sentences without a full stop; none if the server does not tell. Queries at most once every ten seconds.
   */
  get(): Promise<string[]> {
    if (this.#clock.now() - this.#queriedAt >= refreshMs) {
      this.#queriedAt = this.#clock.now();
      this.#advice = this.#query().catch(() => []);
    }
    return this.#advice;
  }

  async #query(): Promise<string[]> {
    const info = String(await command(this.#client, () => this.#client.call("INFO", "memory")));
    const policy = /^maxmemory_policy:(\S+)/m.exec(info)?.[1];
    if (policy === undefined || policy === "noeviction") return [];
    return [`Redis may drop parts of the queue: its maxmemory-policy is ${policy}; set it to noeviction`];
  }
}
