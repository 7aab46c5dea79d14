// The listeners within this process, by job. Every event bus uses it.
import type { JobId } from "../domain/ids.ts";
import type { JobEvent, JobListener } from "./event-bus.ts";

interface Subscription {
  listener: JobListener;
  wants: "all" | "states";
  onJoined: (() => void) | undefined;
}

/** A set of listeners for each job that has any. */
export class Listeners {
  readonly #byJob = new Map<JobId, Set<Subscription>>();
  readonly #onError: (error: unknown) => void;

  /**
   * Creates an empty set of listeners.
   * @param onError called with errors that listeners throw. They reach neither the publisher nor other listeners
   */
  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  /** Adds a listener. Returns the function that removes it. */
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

  /** Notifies the job's subscribers that a listener for its text has joined. */
  notifyJoined(jobId: JobId): void {
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

  /** Whether a listener wants the job's text. */
  wantText(jobId: JobId): boolean {
    for (const { wants } of this.#byJob.get(jobId) ?? []) if (wants === "all") return true;
    return false;
  }

  /** Returns the jobs with listeners. */
  jobs(): IterableIterator<JobId> {
    return this.#byJob.keys();
  }

  clear(): void {
    this.#byJob.clear();
  }
}
