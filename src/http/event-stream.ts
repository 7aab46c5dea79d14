// Server-sent events: one answer that goes on for as long as there is something to tell.

import type { FastifyReply } from "fastify";
import { onOneLine } from "../domain/json-lines.ts";

export interface EventStreamOptions {
  /** After so long without anything else a comment is sent, or proxies would cut the connection. */
  keepAliveMs: number;
  /** Called once, when the reader takes so slowly that too much has to be kept for it. */
  onSlow: () => void;
}

/** What is kept for a slow reader at most, besides the piece that goes beyond it. */
const maxBufferedBytes = 1024 * 1024;

/** How long a reader may take to fetch what is left after the end. */
const lingerMs = 30_000;

export class EventStream {
  readonly #reply: FastifyReply;
  readonly #options: EventStreamOptions;
  readonly #keepAlive: NodeJS.Timeout;
  #quiet = true;
  #opened = false;
  #slow = false;
  #ended = false;

  /** Nothing is sent yet: until `opened`, the request can be answered in another way. */
  constructor(reply: FastifyReply, options: EventStreamOptions) {
    this.#reply = reply;
    this.#options = options;
    this.#keepAlive = setInterval(() => this.#tick(), options.keepAliveMs);
    this.#keepAlive.unref();
  }

  get opened(): boolean {
    return this.#opened;
  }

  /** Begins the answer although there may be nothing to tell yet, or ever. */
  open(): void {
    const { raw } = this.#reply;
    if (this.#opened || this.#ended || raw.destroyed) return;
    this.#open();
    raw.flushHeaders();
  }

  /** @param data JSON */
  send(data: string, { id, event }: { id?: string; event?: string } = {}): void {
    const head = `${id === undefined ? "" : `id: ${id}\n`}${event === undefined ? "" : `event: ${event}\n`}`;
    this.#write(`${head}data: ${onOneLine(data)}\n\n`);
  }

  /** Sends a line that clients skip. */
  comment(text: string): void {
    this.#write(`: ${text.replace(/[\r\n\u2028\u2029]+/g, " ")}\n\n`);
  }

  /** Ends what was opened; to be called in any case. What was sent still reaches a reader that takes it in time. */
  end(): void {
    clearInterval(this.#keepAlive);
    if (this.#ended) return;
    this.#ended = true;
    if (!this.#opened) return;
    const { raw } = this.#reply;
    raw.end();
    if (raw.writableFinished || raw.destroyed) return;
    const giveUp = setTimeout(() => raw.destroy(), lingerMs);
    giveUp.unref();
    raw.once("close", () => clearTimeout(giveUp));
  }

  #tick(): void {
    if (this.#quiet) this.#write(": keep-alive\n\n");
    this.#quiet = true;
  }

  #write(text: string): void {
    const { raw } = this.#reply;
    if (this.#ended || raw.destroyed) return;
    if (!this.#opened) this.#open();
    this.#quiet = false;
    raw.write(text);
    if (raw.writableLength <= maxBufferedBytes || this.#slow) return;
    this.#slow = true;
    this.#options.onSlow();
  }

  #open(): void {
    this.#opened = true;
    this.#reply.hijack();
    this.#reply.raw.writeHead(200, {
      ...(this.#reply.getHeaders() as Record<string, string>),
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-cache, no-transform",
      // nginx gathers answers otherwise.
      "x-accel-buffering": "no",
    });
  }
}
