// Sends one long response piece by piece, and bounds what is buffered for a reader that is slow.

import type { FastifyReply } from "fastify";

export interface LongResponseOptions {
  /** Headers of the response, besides those of the reply. */
  headers: Record<string, string>;
  /** Called once, when the reader is so slow that the buffer exceeds its limit. */
  onSlow: () => void;
}

/** Maximum number of bytes buffered for a slow reader, besides the chunk that exceeds it. */
const maxBufferedBytes = 1024 * 1024;

/** Maximum time that a reader may take to read the rest after the end, in milliseconds. */
const lingerMs = 30_000;

export class LongResponse {
  readonly #reply: FastifyReply;
  readonly #options: LongResponseOptions;
  #opened = false;
  #slow = false;
  #ended = false;

  /** Sends nothing yet: until `opened`, the request can still get another response. */
  constructor(reply: FastifyReply, options: LongResponseOptions) {
    this.#reply = reply;
    this.#options = options;
  }

  get opened(): boolean {
    return this.#opened;
  }

  /** Sends the headers, although there may be nothing to send yet, or ever. */
  open(): void {
    const { raw } = this.#reply;
    if (this.#opened || this.#ended || raw.destroyed) return;
    this.#open();
    raw.flushHeaders();
  }

  write(chunk: string | Uint8Array): void {
    const { raw } = this.#reply;
    if (this.#ended || raw.destroyed) return;
    if (!this.#opened) this.#open();
    raw.write(chunk);
    if (raw.writableLength <= maxBufferedBytes || this.#slow) return;
    this.#slow = true;
    this.#options.onSlow();
  }

  /**
   * Ends the response. Call it in every case, even if nothing was sent. A reader that is fast enough still receives what
   * was sent.
   */
  end(): void {
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

  #open(): void {
    this.#opened = true;
    this.#reply.hijack();
    this.#reply.raw.writeHead(200, {
      ...(this.#reply.getHeaders() as Record<string, string>),
      ...this.#options.headers,
      "cache-control": "no-cache, no-transform",
      // Without it, nginx buffers the response.
      "x-accel-buffering": "no",
    });
  }
}
