// Sends server-sent events as one long response.

import type { FastifyReply } from "fastify";
import { onOneLine } from "../domain/json-lines.ts";
import { LongResponse } from "./long-response.ts";

export interface EventStreamOptions {
  /** Sends a comment after this many milliseconds of silence, because proxies cut silent connections. */
  keepAliveMs: number;
  /** An event to send with each comment, for clients that ignore comments. Default: none. */
  keepAliveEvent?: { event: string; data: string };
  /** Called once, when the reader is so slow that the buffer exceeds its limit. */
  onSlow: () => void;
}

export class EventStream {
  readonly #response: LongResponse;
  readonly #keepAlive: NodeJS.Timeout;
  readonly #keepAliveLines: string;
  #quiet = true;

  /** Sends nothing yet: until `opened`, the request can still get another response. */
  constructor(reply: FastifyReply, { keepAliveMs, keepAliveEvent, onSlow }: EventStreamOptions) {
    this.#response = new LongResponse(reply, {
      headers: { "content-type": "text/event-stream; charset=utf-8" },
      onSlow,
    });
    this.#keepAliveLines = keepAliveEvent ? `event: ${keepAliveEvent.event}\ndata: ${keepAliveEvent.data}\n` : "";
    this.#keepAlive = setInterval(() => this.#tick(), keepAliveMs);
    this.#keepAlive.unref();
  }

  get opened(): boolean {
    return this.#response.opened;
  }

  /** Sends the headers, although there may be no event yet, or ever. */
  open(): void {
    this.#response.open();
  }

  /**
   * Sends an event.
   * @param data JSON
   */
  send(data: string, { id, event }: { id?: string; event?: string } = {}): void {
    const head = `${id === undefined ? "" : `id: ${id}\n`}${event === undefined ? "" : `event: ${event}\n`}`;
    this.#write(`${head}data: ${onOneLine(data)}\n\n`);
  }

  /** Sends a comment line, which clients skip, and the event that goes with it. */
  comment(text: string): void {
    this.#write(`: ${text.replace(/[\r\n\u2028\u2029]+/g, " ")}\n${this.#keepAliveLines}\n`);
  }

  /**
   * Ends the stream. Call it in every case, even if nothing was sent. A reader that is fast enough still receives what
   * was sent.
   */
  end(): void {
    clearInterval(this.#keepAlive);
    this.#response.end();
  }

  #tick(): void {
    if (this.#quiet) this.comment("keep-alive");
    this.#quiet = true;
  }

  #write(text: string): void {
    this.#quiet = false;
    this.#response.write(text);
  }
}
