// One request and its response: reading within bounds, writing, waiting, and noticing that the client has gone.
import type { IncomingMessage, ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { longestTimeoutMs } from "../domain/clock.ts";
import { BedrockError } from "./aws-errors.ts";

/** AWS's bound of a body. */
export const maxBodyBytes = 25_000_000;
/** A body over the bound is read and dropped up to here, so that the client gets its 413 instead of a reset. */
const maxDrainedBytes = 100_000_000;

export class Exchange {
  readonly request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #disconnected = new AbortController();
  /** Settles when the connection is closed or the response is complete. */
  readonly closed: Promise<void>;

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.request = request;
    this.#response = response;
    // A connection that breaks is seen by `close`; the errors say nothing more.
    request.on("error", () => {});
    response.on("error", () => {});
    this.closed = new Promise((resolve) => {
      response.once("close", () => {
        if (!response.writableFinished) this.#disconnected.abort();
        resolve();
      });
    });
  }

  /** Whether the connection was closed before the response was complete. */
  get disconnected(): boolean {
    return this.#disconnected.signal.aborted;
  }

  /** @throws BedrockError if the body is too large. */
  async readBody(): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of this.request as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes <= maxBodyBytes) chunks.push(chunk);
      else chunks.length = 0;
      if (bytes > maxDrainedBytes) break;
    }
    if (bytes > maxBodyBytes) {
      throw new BedrockError("RequestEntityTooLargeException", `The request body exceeds ${maxBodyBytes} bytes.`);
    }
    return Buffer.concat(chunks);
  }

  /** Waits, in real time; no longer than the client does. */
  async sleep(ms: number): Promise<void> {
    if (ms <= 0 || this.disconnected) return;
    await delay(Math.min(ms, longestTimeoutMs), undefined, { signal: this.#disconnected.signal }).catch(() => {});
  }

  /** A whole response. */
  send(status: number, headers: Record<string, string>, body: string): void {
    if (this.disconnected) return;
    this.#response.writeHead(status, { ...headers, "content-length": String(Buffer.byteLength(body)) });
    this.#response.end(body);
  }

  /** A response that promises the whole body, gives half of it and closes the connection. */
  async sendHalf(status: number, headers: Record<string, string>, body: string): Promise<void> {
    if (this.disconnected) return;
    this.#response.writeHead(status, { ...headers, "content-length": String(Buffer.byteLength(body)) });
    await this.write(Buffer.from(body.slice(0, body.length / 2)));
    this.cut();
  }

  /** The head of a streamed response; sent with what is written first. */
  begin(headers: Record<string, string>): void {
    if (!this.disconnected) this.#response.writeHead(200, headers);
  }

  /** A part of a streamed response; waits until the system has taken it. No bytes send the head alone. */
  async write(bytes: Buffer): Promise<void> {
    if (this.disconnected) return;
    if (bytes.length === 0) this.#response.flushHeaders();
    else await Promise.race([new Promise((resolve) => this.#response.write(bytes, resolve)), this.closed]);
  }

  end(bytes?: Buffer): void {
    if (!this.disconnected) this.#response.end(bytes);
  }

  /** Closes the connection under the response. */
  cut(): void {
    this.#response.destroy();
  }

  /** The same with a TCP reset in place of an end. */
  reset(): void {
    this.#response.socket?.resetAndDestroy();
  }
}
