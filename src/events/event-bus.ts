// The port for what happens to jobs while somebody listens: waiters, event streams, and workers that must abort a call
// because the job ended elsewhere. Delivery is best effort; the store is the truth, so a listener that missed an event
// finds it there.
import type { JobId } from "../domain/ids.ts";
import type { JobState } from "../domain/job.ts";

export type JobEvent =
  /** The job reached a state. A final state means that the outcome is stored. */
  | { type: "state"; jobId: JobId; environment: string; state: JobState; at: number }
  /**
   * Text as it comes. `index` counts the pieces of one attempt from 0. With `pieces` it is that many of them at once, said
   * again from the first one (`index` 0) for whoever has missed some.
   */
  | { type: "tokens"; jobId: JobId; attempt: number; index: number; text: string; pieces?: number }
  /** What was streamed so far is void: another attempt starts from the beginning. */
  | { type: "restart"; jobId: JobId; attempt: number };

export type JobListener = (event: JobEvent) => void;

export interface EventBus {
  /** Tells all listeners of the job. Never throws and never waits. */
  publish(event: JobEvent): void;
  /**
   * Whether anybody here or elsewhere may be listening for the job's tokens; lets the sender skip the work. Of listeners
   * in other processes it knows, soon after they came, while this process is itself subscribed to the job; that they
   * left it may learn half a minute late.
   */
  hasListeners(jobId: JobId): boolean;
  /**
   * Calls the listener for every event of the job until the returned function is called, in the order of publishing.
   * Who wants `states` only is not told of text, and does not count in `hasListeners`: a worker that watches for the
   * cancellation of its own call must not make itself stream.
   * @param onJoined called when somebody, here or elsewhere, begins to listen for the job's text, or does so again after
   *   events may have been lost: soon after, and never before that listener is reached by what is published
   */
  subscribe(jobId: JobId, listener: JobListener, wants?: "all" | "states", onJoined?: () => void): () => void;
  close(): Promise<void>;
}
