// One request and its response: bounded reading, writing, waiting, and detecting that the client disconnected.
import type { IncomingMessage, ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { longestTimeoutMs } from "../domain/clock.ts";
import { BedrockError } from "./aws-errors.ts";

/** AWS's maximum size of a body, in bytes. */
export const maxBodyBytes = 25_000_000;
/** Larger bodies are read and dropped up to this size, in bytes, so that the client gets its 413 instead of a reset. */
const maxDrainedBytes = 100_000_000;

/** One HTTP request and its response. */
export class Exchange {
  readonly request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #disconnected = new AbortController();
  /** Settles when the connection is closed or the response is complete. */
  readonly closed: Promise<void>;

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.request = request;
    this.#response = response;
    // `close` reports a broken connection. The errors add nothing.
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

  /** Reads the whole body. @throws BedrockError if the body is too large */
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

  /** Waits in real time, but no longer than the client does. */
  async sleep(ms: number): Promise<void> {
    if (ms <= 0 || this.disconnected) return;
    await delay(Math.min(ms, longestTimeoutMs), undefined, { signal: this.#disconnected.signal }).catch(() => {});
  }

  /** Sends a whole response. */
  send(status: number, headers: Record<string, string>, body: string): void {
    if (this.disconnected) return;
    this.#response.writeHead(status, { ...headers, "content-length": String(Buffer.byteLength(body)) });
    this.#response.end(body);
  }

  /** Sends a response that announces the whole body, sends half of it and closes the connection. */
  async sendHalf(status: number, headers: Record<string, string>, body: string): Promise<void> {
    if (this.disconnected) return;
    this.#response.writeHead(status, { ...headers, "content-length": String(Buffer.byteLength(body)) });
    await this.write(Buffer.from(body.slice(0, body.length / 2)));
    this.cut();
  }

  /** Prepares the head of a streamed response. It is sent with the first write. */
  begin(headers: Record<string, string>): void {
    if (!this.disconnected) this.#response.writeHead(200, headers);
  }

  /**
   * Sends a part of a streamed response and waits until the system has accepted it. Without bytes, sends the head
   * alone.
   */
  async write(bytes: Buffer): Promise<void> {
    if (this.disconnected) return;
    if (bytes.length === 0) this.#response.flushHeaders();
    else await Promise.race([new Promise((resolve) => this.#response.write(bytes, resolve)), this.closed]);
  }

  end(bytes?: Buffer): void {
    if (!this.disconnected) this.#response.end(bytes);
  }

  /** Closes the connection in the middle of the response. */
  cut(): void {
    this.#response.destroy();
  }

  /** Closes the connection with a TCP reset. */
  reset(): void {
    this.#response.socket?.resetAndDestroy();
  }
}
