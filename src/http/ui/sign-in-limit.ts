// Limits failed sign-ins by client address, so that no one can try keys at the speed of the network.
import type { Clock } from "../../domain/clock.ts";

const windowMs = 60_000;
/** Failed sign-ins that one address may make in a window. */
const allowed = 10;
/** Addresses that are remembered. More can only come from a caller that owns a network, whose oldest are dropped. */
const maxAddresses = 10_000;

export class SignInLimit {
  readonly #clock: Clock;
  /** Failures by address, oldest window first. */
  readonly #failures = new Map<string, { count: number; until: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Returns the seconds until the address may try again, or undefined if it may try now. */
  waitS(address: string): number | undefined {
    const entry = this.#failures.get(address);
    const leftMs = entry ? entry.until - this.#clock.now() : 0;
    return entry && leftMs > 0 && entry.count >= allowed ? Math.ceil(leftMs / 1000) : undefined;
  }

  fail(address: string): void {
    const now = this.#clock.now();
    const entry = this.#failures.get(address);
    if (entry && entry.until > now) {
      entry.count++;
      return;
    }
    this.#failures.delete(address);
    this.#failures.set(address, { count: 1, until: now + windowMs });
    if (this.#failures.size > maxAddresses) this.#failures.delete(this.#failures.keys().next().value!);
  }
}
