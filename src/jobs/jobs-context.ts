// Defines the dependencies of the use cases, which HTTP and worker share.
import type { Logger } from "pino";
import type { Settings } from "../config/settings.ts";
import type { Clock } from "../domain/clock.ts";
import type { JobHead } from "../domain/job.ts";
import type { EventBus } from "../events/event-bus.ts";
import type { Scheduler } from "../scheduler/scheduler.ts";
import type { JobStore } from "../store/job-store.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Tracing } from "../telemetry/tracing.ts";
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
  /** Learned ratios of token counts. Absent: only the configured factors apply. */
  tokenRatios?: TokenRatios;
  /** Predicts the duration of calls. Absent: no end is predicted. */
  durations?: DurationForecast;
  /** Knows why jobs are paused. Absent: pauses are not explained. */
  pauses?: KnownPauses;
  /** Records spans. Absent: tracing is off. */
  tracing?: Tracing;
  clock: Clock;
  log: Logger;
  /** Receives what the service measures. Absent: nothing is measured. */
  metrics?: Metrics;
  /** Compares predicted starts of jobs with the real ones. Absent: nothing is compared. */
  startSamples?: StartSampler;
  /** Limits of keys and of the service. Absent: there are none. */
  limits?: JobLimits;
  /** Counts the bytes of files by tenant. Absent: no upload is refused. */
  fileSpace?: FileSpace;
  /** Called when a batch was created, cancelled or deleted. Notifies the batch drivers of all processes. */
  onBatch?: () => void;
}

/** Predicts the duration of a call from the latest ones. */
export interface DurationForecast {
  /** Returns the average duration of calls of this alias in milliseconds, or undefined if none is known. */
  averageMs(model: string): number | undefined;
}

/** Compares predicted starts of jobs with the real ones. */
export interface StartSampler {
  /** Receives a stored job before it is enqueued. Does not throw or wait. */
  observe(job: JobHead): void;
}
