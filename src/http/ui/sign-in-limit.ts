// Limits wrong keys at the sign-in by client address. A correct key always signs in, because all users of a proxy may
// share one address; see docs/decisions/sign-in-limit.md.
import type { Clock } from "../../domain/clock.ts";
import { SluiceError } from "../../domain/errors.ts";

const windowMs = 60_000;
/** Wrong keys that one address may send in a window. */
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

  /**
   * Counts a wrong key.
   * @throws SluiceError `limit_exceeded` if the address has sent too many
   */
  fail(address: string): void {
    const now = this.#clock.now();
    const entry = this.#failures.get(address);
    if (entry && entry.until > now) {
      if (++entry.count <= allowed) return;
      const waitS = Math.ceil((entry.until - now) / 1000);
      const message = `Too many wrong keys came from your address. Check the key, and try again in ${waitS} s.`;
      throw new SluiceError("limit_exceeded", message, { retryAfterS: waitS });
    }
    this.#failures.delete(address);
    this.#failures.set(address, { count: 1, until: now + windowMs });
    if (this.#failures.size > maxAddresses) this.#failures.delete(this.#failures.keys().next().value!);
  }
}
