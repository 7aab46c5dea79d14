// Exact token counts, in a worker thread, so that no input can hold up the main thread: a prompt of 200,000 different
// Chinese characters takes half a second to count.
import { Worker } from "node:worker_threads";
import type { CanonicalRequest } from "../../domain/request.ts";

export interface TokenCounter {
  /**
   * Input tokens of each request as cl100k_base counts them, template and tools included (see `countInput`), in the
   * order of the argument. Rejects if the request cannot be counted, if too many calls wait, or after `close`; an
   * estimate is what to use then.
   */
  count(requests: readonly CanonicalRequest[]): Promise<number[]>;
  /** Ends the thread. Calls that wait are rejected. */
  close(): Promise<void>;
}

interface Waiting {
  requests: readonly CanonicalRequest[];
  resolve: (counts: number[]) => void;
  reject: (error: Error) => void;
}

/** Calls that may wait for the thread. Beyond that the counts would come too late to be of use. */
const maxWaiting = 1_000;

/**
 * The thread starts with the first call (0.2 s until it answers, 60 MB) and, while idle, does not keep the process alive.
 * If it crashes the call that it was working on is rejected, and the next call gets a new thread.
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
      thread.postMessage(running.requests);
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
