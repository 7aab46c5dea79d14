// Whether admission is open. It starts closed, and closes whenever everything must be restored from the store:
//
//   rebuild -> rebuilding   a process began and holds the ticket
//   rebuilding -> open      the holder finished
//   rebuilding -> rebuild   the holder did nothing for a lease period (its store was unavailable, or it died)
import type { RebuildTicket } from "../scheduler.ts";

export class Rebuild {
  #open = false;
  #ticket: RebuildTicket | undefined;
  #expiresAt = 0;

  get isOpen(): boolean {
    return this.#open;
  }

  /** Returns why admission is closed, or undefined if it is open. */
  closed(now: number): "rebuild" | "rebuilding" | undefined {
    if (this.#open) return undefined;
    return this.#ticket && now < this.#expiresAt ? "rebuilding" : "rebuild";
  }

  begin(id: string, now: number, leaseMs: number): RebuildTicket | undefined {
    if (this.closed(now) === "rebuilding") return undefined;
    this.#open = false;
    this.#ticket = { id };
    this.#expiresAt = now + leaseMs;
    return this.#ticket;
  }

  /** Whether the ticket is valid. If so, extends its holder's rebuild by a lease period. */
  extend(ticket: RebuildTicket, now: number, leaseMs: number): boolean {
    if (ticket.id !== this.#ticket?.id) return false;
    this.#expiresAt = now + leaseMs;
    return true;
  }

  finish(): void {
    this.#ticket = undefined;
    this.#open = true;
  }
}
