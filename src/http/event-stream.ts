// Sends server-sent events as one long response.

import type { FastifyReply } from "fastify";
import { onOneLine } from "../domain/json-lines.ts";

export interface EventStreamOptions {
  /** Sends a comment after this many milliseconds of silence, because proxies cut silent connections. */
  keepAliveMs: number;
  /** Called once, when the reader is so slow that the buffer exceeds its limit. */
  onSlow: () => void;
}

/** Maximum number of bytes buffered for a slow reader, besides the chunk that exceeds it. */
const maxBufferedBytes = 1024 * 1024;

/** Maximum time that a reader may take to read the rest after the end, in milliseconds. */
const lingerMs = 30_000;

export class EventStream {
  readonly #reply: FastifyReply;
  readonly #options: EventStreamOptions;
  readonly #keepAlive: NodeJS.Timeout;
  #quiet = true;
  #opened = false;
  #slow = false;
  #ended = false;

  /** Sends nothing yet: until `opened`, the request can still get another response. */
  constructor(reply: FastifyReply, options: EventStreamOptions) {
    this.#reply = reply;
    this.#options = options;
    this.#keepAlive = setInterval(() => this.#tick(), options.keepAliveMs);
    this.#keepAlive.unref();
  }

  get opened(): boolean {
    return this.#opened;
  }

  /** Sends the headers, although there may be no event yet, or ever. */
  open(): void {
    const { raw } = this.#reply;
    if (this.#opened || this.#ended || raw.destroyed) return;
    this.#open();
    raw.flushHeaders();
  }

  /**
   * Sends an event.
   * @param data JSON
   */
  send(data: string, { id, event }: { id?: string; event?: string } = {}): void {
    const head = `${id === undefined ? "" : `id: ${id}\n`}${event === undefined ? "" : `event: ${event}\n`}`;
    this.#write(`${head}data: ${onOneLine(data)}\n\n`);
  }

  /** Sends a comment line, which clients skip. */
  comment(text: string): void {
    this.#write(`: ${text.replace(/[\r\n\u2028\u2029]+/g, " ")}\n\n`);
  }

  /**
   * Ends the stream. Call it in every case, even if nothing was sent. A reader that is fast enough still receives what
   * was sent.
   */
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
      // Without it, nginx buffers the response.
      "x-accel-buffering": "no",
    });
  }
}
