// Closes what a process has opened, in reverse order.
import type { Logger } from "pino";

/** Collects how to close each part of the service. If a part fails to close, it logs that and closes the others. */
export class Teardown {
  readonly #steps: (() => unknown)[] = [];
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Runs `close` before everything that was deferred earlier. */
  defer(close: () => unknown): void {
    this.#steps.push(close);
  }

  /** Reserves a place in the order for parts that are opened later. */
  nested(): Teardown {
    const inner = new Teardown(this.#log);
    this.defer(() => inner.run());
    return inner;
  }

  /** Closes everything. A second call closes only what was deferred since the first. */
  async run(): Promise<void> {
    for (let close = this.#steps.pop(); close; close = this.#steps.pop()) {
      try {
        await close();
      } catch (error) {
        this.#log.error({ err: error }, "failed to close a part of the service");
      }
    }
  }
}
