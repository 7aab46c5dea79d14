// Who listens within this process: a set of listeners for each job that somebody listens to. Part of every event bus.
import type { JobId } from "../domain/ids.ts";
import type { JobEvent, JobListener } from "./event-bus.ts";

interface Subscription {
  listener: JobListener;
  wants: "all" | "states";
  onJoined: (() => void) | undefined;
}

export class Listeners {
  readonly #byJob = new Map<JobId, Set<Subscription>>();
  readonly #onError: (error: unknown) => void;

  /** @param onError told of what a listener throws, which reaches neither the publisher nor the other listeners */
  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  /** Returns the function that takes the listener away again. */
  add(jobId: JobId, listener: JobListener, wants: "all" | "states", onJoined?: () => void): () => void {
    const subscription: Subscription = { listener, wants, onJoined };
    const ofJob = this.#byJob.get(jobId) ?? new Set();
    this.#byJob.set(jobId, ofJob.add(subscription));
    return () => {
      ofJob.delete(subscription);
      if (ofJob.size === 0 && this.#byJob.get(jobId) === ofJob) this.#byJob.delete(jobId);
    };
  }

  deliver(event: JobEvent): void {
    for (const { listener, wants } of this.#byJob.get(event.jobId) ?? []) {
      if (wants === "states" && event.type !== "state") continue;
      try {
        listener(event);
      } catch (error) {
        this.#onError(error);
      }
    }
  }

  /** Somebody begins to listen for the job's text. */
  joined(jobId: JobId): void {
    for (const { onJoined } of this.#byJob.get(jobId) ?? []) {
      try {
        onJoined?.();
      } catch (error) {
        this.#onError(error);
      }
    }
  }

  has(jobId: JobId): boolean {
    return this.#byJob.has(jobId);
  }

  /** Whether somebody listens for the job's text. */
  wantText(jobId: JobId): boolean {
    for (const { wants } of this.#byJob.get(jobId) ?? []) if (wants === "all") return true;
    return false;
  }

  /** The jobs that somebody listens to. */
  jobs(): IterableIterator<JobId> {
    return this.#byJob.keys();
  }

  clear(): void {
    this.#byJob.clear();
  }
}
