// What the use cases of this room, the HTTP interface and the worker are given to work with.
import type { Logger } from "pino";
import type { Settings } from "../config/settings.ts";
import type { Clock } from "../domain/clock.ts";
import type { Job } from "../domain/job.ts";
import type { EventBus } from "../events/event-bus.ts";
import type { MissingModel, Scheduler } from "../scheduler/scheduler.ts";
import type { JobStore } from "../store/job-store.ts";
import type { FileSpace } from "./file-space.ts";
import type { JobLimits } from "./job-limits.ts";
import type { KnownPauses } from "./pause.ts";
import type { TokenCounter } from "./tokens/token-counter.ts";
import type { TokenRatios } from "./tokens/token-ratios.ts";

export interface JobsContext {
  settings: Settings;
  store: JobStore;
  scheduler: Scheduler;
  events: EventBus;
  tokenCounter: Pick<TokenCounter, "count">;
  /** What was learned of how models count tokens; absent: their configured factors alone. */
  tokenRatios?: TokenRatios;
  /** How long calls take; absent: nothing is foretold of ends. */
  durations?: DurationForecast;
  /** Why jobs are paused; absent: nothing is said about that. */
  pauses?: KnownPauses;
  clock: Clock;
  log: Logger;
  /** Limits of keys and of the service. Absent: there are none. */
  limits?: JobLimits;
  /** Counts the bytes of files by tenant. Absent: nothing is refused. */
  fileSpace?: FileSpace;
  /** Told of jobs that were stored just now, after their state event. Must not throw, and is not waited for. */
  onAccepted?: (jobs: readonly Job[]) => void;
  /** Told that a batch was created or cancelled, where this process takes batches further. */
  onBatch?: () => void;
  /** Reads the configuration again; absent where it cannot be. Rejects with SluiceError `config_invalid`, `unavailable`. */
  reload?: () => Promise<ReloadReport>;
}

/** Predicts how long a call takes, from the latest ones. */
export interface DurationForecast {
  /** Average duration of calls of this alias, in milliseconds; undefined while none is known. */
  averageMs(model: string): number | undefined;
}

/** What reading the configuration again has changed, as lines of `key: old -> new`. */
export interface ReloadReport {
  changed: string[];
  /** What stays as it was until the next start. */
  needsRestart: string[];
  /** Models that jobs wait for and that no deployment serves now. */
  missingModels: MissingModel[];
}
