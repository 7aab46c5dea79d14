// The callers' side of sqlite-worker.ts: sends requests to a thread and resolves with its replies. Each request leaves
// at once, and an idle thread starts on it while this side prepares the next. When requests were gathered until the end
// of a pass of the event loop, each side waited for the other in turn (docs/decisions/writes-leave-at-once.md).
import { Worker } from "node:worker_threads";
import { SluiceError } from "../../domain/errors.ts";
import { StoreOpenError } from "../environments.ts";
import type { Opened, Operations, Reply, RequestOf, ThreadData } from "./protocol.ts";

interface Waiting {
  resolve(answer: never): void;
  reject(error: SluiceError): void;
}

export class StoreThread<O extends Operations> {
  readonly #worker: Worker;
  readonly #opened: Promise<Opened>;
  readonly #exited: Promise<void>;
  /** Requests without a reply, in the order in which they were made. */
  readonly #waiting: Waiting[] = [];
  readonly #onReplies: ((replies: number) => void) | undefined;
  #closed?: SluiceError;

  /**
   * Starts a thread and waits until its files are open. Both threads together take about 0.1 s, and 10 MB each.
   * @param onReplies called with the number of requests that were answered together
   * @throws StoreOpenError
   */
  static async start<O extends Operations>(
    data: ThreadData,
    onReplies?: (replies: number) => void,
  ): Promise<StoreThread<O>> {
    const thread = new StoreThread<O>(data, onReplies);
    const opened = await thread.#opened;
    if (opened.opened) return thread;
    await thread.#exited;
    throw new StoreOpenError(opened.message);
  }

  private constructor(data: ThreadData, onReplies?: (replies: number) => void) {
    this.#onReplies = onReplies;
    const entry = new URL("./sqlite-worker.js", import.meta.url);
    const worker = new Worker(entry, { workerData: data, name: `sqlite-${data.role}` });
    this.#worker = worker;
    this.#opened = new Promise((resolve) => {
      worker.once("message", (opened: Opened) => {
        worker.on("message", (replies: Reply[]) => this.#receive(replies));
        resolve(opened);
      });
      worker.once("error", (error) => resolve({ opened: false, message: `The store's thread failed: ${error}` }));
    });
    let cause = "";
    worker.on("error", (error) => {
      cause = `: ${error}`;
    });
    this.#exited = new Promise((resolve) => {
      worker.on("exit", () => {
        const message = `The store's ${data.role} thread has ended${cause}. Restart the service.`;
        this.#closed ??= new SluiceError("unavailable", message);
        // A write that was sent may have been committed before the thread ended.
        const error = new SluiceError(data.role === "writer" ? "fate_unknown" : "unavailable", message);
        for (const waiting of this.#waiting.splice(0)) waiting.reject(error);
        resolve();
      });
    });
  }

  /**
   * Sends a request at once and resolves with the thread's answer.
   * @throws SluiceError the thread's error, or `unavailable` after `close`
   */
  ask<K extends keyof O & string>(kind: K, request: O[K]["request"]): Promise<O[K]["answer"]> {
    if (this.#closed) return Promise.reject(this.#closed);
    this.#worker.postMessage({ kind, ...request } as RequestOf<O>);
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** Waits for the answers to all requests, then ends the thread. */
  async close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = new SluiceError("unavailable", "The store is closed.");
      this.#worker.postMessage("close");
    }
    await this.#exited;
  }

  #receive(replies: Reply[]): void {
    this.#onReplies?.(replies.length);
    for (const [i, waiting] of this.#waiting.splice(0, replies.length).entries()) {
      const reply = replies[i]!;
      if ("failure" in reply) waiting.reject(new SluiceError(reply.failure.code, reply.failure.message));
      else waiting.resolve(reply.answer as never);
    }
  }
}
