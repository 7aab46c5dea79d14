// A job as the scheduler in memory keeps it. There may be a million, so no field can be derived from others.
import type { JobId } from "../../domain/ids.ts";
import type { Priority } from "../../domain/job.ts";
import type { TokenCount } from "../../domain/tokens.ts";
import type { Queued } from "../fair-queue.ts";

/**
 * ready    waits in the fair queue
 * delayed  waits until its time
 * booked   waits outside the queue for a start that is kept free for it
 * running  leased to a worker
 * removed  no longer known; anything that still points to it must skip it
 */
export type EntryState = "ready" | "delayed" | "booked" | "running" | "removed";

export interface Entry extends Queued {
  readonly jobId: JobId;
  readonly environment: string;
  readonly tenant: string;
  readonly priority: Priority;
  /** Key of the route; see route-key.ts. */
  readonly route: string;
  readonly order: number;
  tokens: TokenCount;
  exact: boolean;
  state: EntryState;
  grants: number;
  /** Time at which a delayed job becomes ready. */
  readyAt: number;
  /** Token of the lease while the job runs. */
  grant: string | undefined;
}
