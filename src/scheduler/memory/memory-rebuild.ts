// Whether admission is open. It starts closed, and again whenever everything has to be put back from the store:
//
//   rebuild -> rebuilding   somebody began, and holds the ticket
//   rebuilding -> open      the holder finished
//   rebuilding -> rebuild   the holder was not heard of for a lease period (its store was away, or it died)
import type { RebuildTicket } from "../scheduler.ts";

export class Rebuild {
  #open = false;
  #ticket: RebuildTicket | undefined;
  #lapsesAt = 0;

  get isOpen(): boolean {
    return this.#open;
  }

  /** Why admission is closed; undefined if it is not. */
  closed(now: number): "rebuild" | "rebuilding" | undefined {
    if (this.#open) return undefined;
    return this.#ticket && now < this.#lapsesAt ? "rebuilding" : "rebuild";
  }

  begin(id: string, now: number, leaseMs: number): RebuildTicket | undefined {
    if (this.closed(now) === "rebuilding") return undefined;
    this.#open = false;
    this.#ticket = { id };
    this.#lapsesAt = now + leaseMs;
    return this.#ticket;
  }

  /** Whether the ticket is the one that counts; if so its holder has been heard of. */
  holds(ticket: RebuildTicket, now: number, leaseMs: number): boolean {
    if (ticket.id !== this.#ticket?.id) return false;
    this.#lapsesAt = now + leaseMs;
    return true;
  }

  finish(): void {
    this.#ticket = undefined;
    this.#open = true;
  }
}
