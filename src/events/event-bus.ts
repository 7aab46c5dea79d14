// The port for job events. Waiters, event streams, and workers that must abort a call because the job ended elsewhere
// subscribe to it. Delivery is best effort. The store is the truth, so a listener that missed an event reads it there.
import type { JobId } from "../domain/ids.ts";
import type { Job, JobState } from "../domain/job.ts";

/** Something that happened to a job. */
export type JobEvent =
  /** The job reached a state. A final state means that the outcome is stored. */
  | { type: "state"; jobId: JobId; environment: string; state: JobState; at: number }
  /**
   * Streamed text. `index` numbers the chunks of one attempt from 0. With `pieces`, the event repeats that many chunks
   * at once from the first (`index` 0), for listeners that missed some.
   */
  | { type: "tokens"; jobId: JobId; attempt: number; index: number; text: string; pieces?: number }
  /** What was streamed so far is void: another attempt starts from the beginning. */
  | { type: "restart"; jobId: JobId; attempt: number };

export type JobListener = (event: JobEvent) => void;

/** Publishes job events and delivers them to listeners. */
export interface EventBus {
  /**
   * Notifies all listeners of the job. Never throws and never waits.
   * @param reach `process` notifies only listeners in this process, for a job that no other process can know yet.
   *   Default: `all`
   */
  publish(event: JobEvent, reach?: "all" | "process"): void;
  /**
   * Publishes jobs that were just stored, with their requests, where other programs read the state of jobs. Listeners
   * receive nothing from it. Never throws and never waits.
   */
  publishAccepted(jobs: readonly Job[]): void;
  /** Notifies the listeners of other processes that a batch has work to do. Never throws and never waits. */
  publishBatch(): void;
  /**
   * Calls the listener when another process publishes that a batch has work to do. Also calls it when such a message
   * may have been lost. Returns a function that removes the listener.
   */
  onBatch(listener: () => void): () => void;
  /**
   * Whether any process may be listening for the job's text, so the sender can skip the work otherwise. Listeners in
   * other processes count soon after they subscribe, if this process is itself subscribed to the job. It may learn half
   * a minute late that they left.
   */
  hasListeners(jobId: JobId): boolean;
  /**
   * Calls the listener for every event of the job, in the order of publishing. Returns a function that unsubscribes.
   * @param wants `states` skips text events and does not count in `hasListeners`. So a worker that watches for the
   * cancellation of its own call does not make itself stream. Default: all
   * @param onJoined called soon after a listener in any process begins to listen for the job's text, or resumes after
   * events may have been lost. Never called before published events reach that listener
   */
  subscribe(jobId: JobId, listener: JobListener, wants?: "all" | "states", onJoined?: () => void): () => void;
  close(): Promise<void>;
}
