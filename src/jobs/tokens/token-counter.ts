// Counts tokens exactly in a worker thread, so that no input blocks the main thread. A prompt of 200,000 different
// Chinese characters takes half a second.
import { Worker } from "node:worker_threads";
import { withoutMedia } from "../../domain/media-tokens.ts";
import type { JobRequest } from "../../domain/request.ts";

export interface TokenCounter {
  /**
   * Returns the input tokens of each request as cl100k_base counts them, with template and tools (see `countInput`), in
   * order. Rejects if a request cannot be counted, if too many calls wait, or after `close`; use an estimate then.
   */
  count(requests: readonly JobRequest[]): Promise<number[]>;
  /** Ends the thread. Waiting calls are rejected. */
  close(): Promise<void>;
}

interface Waiting {
  requests: readonly JobRequest[];
  resolve: (counts: number[]) => void;
  reject: (error: Error) => void;
}

/** Maximum number of waiting calls. Later counts would arrive too late to be useful. */
const maxWaiting = 1_000;

/**
 * Creates a counter. The thread starts with the first call (0.2 s until it answers, 60 MB), and while idle it does not
 * keep the process alive. If it crashes, its current call is rejected, and the next call gets a new thread.
 */
export function createTokenCounter(): TokenCounter {
  const waiting: Waiting[] = [];
  let running: Waiting | undefined;
  let thread: Worker | undefined;
  let closed = false;

  function next(): void {
    if (running !== undefined || closed) return;
    running = waiting.shift();
    if (running === undefined) {
      thread?.unref();
      return;
    }
    try {
      thread ??= start();
      thread.ref();
      // Images and documents have no text to count, and a message copies everything.
      thread.postMessage(running.requests.map(withoutMedia));
    } catch (error) {
      finish((call) => call.reject(asError(error)));
    }
  }

  function finish(settle: (call: Waiting) => void): void {
    const call = running;
    running = undefined;
    if (call !== undefined) settle(call);
    next();
  }

  function start(): Worker {
    const worker = new Worker(new URL("./token-counter-thread.js", import.meta.url));
    let cause: Error | undefined;
    worker.on("message", (counts: number[]) => finish((call) => call.resolve(counts)));
    worker.on("error", (error) => {
      cause = asError(error);
    });
    worker.on("exit", () => {
      thread = undefined;
      finish((call) => call.reject(new Error(`The token counter failed: ${cause?.message ?? "its thread ended"}`)));
    });
    return worker;
  }

  return {
    count(requests) {
      if (closed) return Promise.reject(new Error("The token counter is closed"));
      if (waiting.length >= maxWaiting) return Promise.reject(new Error("The token counter is busy"));
      return new Promise((resolve, reject) => {
        waiting.push({ requests, resolve, reject });
        next();
      });
    },
    async close() {
      closed = true;
      const error = new Error("The token counter is closed");
      for (const call of waiting.splice(0)) call.reject(error);
      finish((call) => call.reject(error));
      await thread?.terminate();
    },
  };
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
