// Prepares a few calls at a time. The AWS SDK needs some milliseconds of the main thread for each call, in many small
// steps. If a hundred calls begin together, the first one is sent only when the last one is ready. That took 0.7 s in a
// process that had just started on a busy machine, and the quotas then have outdated times.

/** Calls per turn of the event loop. With more, calls are sent late; with fewer, they wait without need. */
const callsPerTurn = 8;

export class SendSlots {
  #taken = 0;
  #turn: Promise<void> = Promise.resolve();

  /**
   * Resolves in a turn of the event loop that at most eight calls share, in the order of requests. A call that then
   * reads the clock, and awaits nothing outside the process, is sent at about that time.
   */
  next(): Promise<void> {
    if (this.#taken++ % callsPerTurn === 0) {
      this.#turn = this.#turn.then(() => new Promise((resolve) => void setImmediate(resolve)));
    }
    return this.#turn;
  }
}
