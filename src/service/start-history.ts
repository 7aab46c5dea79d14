// Records the history of this process, and keeps the history of all processes bounded.
import { newToken } from "../domain/ids.ts";
import { HistoryRecorder } from "../jobs/history/history-recorder.ts";
import { summarizeHistory } from "../jobs/history/history-records.ts";
import type { JobsContext } from "../jobs/jobs-context.ts";
import { type Metrics, noMetrics } from "../telemetry/metrics.ts";
import { repeat, systemTimers } from "../worker/timers.ts";
import type { Teardown } from "./teardown.ts";

/** Interval of the samples of quotas and queues, and of attempts to store minutes, in milliseconds. */
const sampleMs = 5_000;
const summarizeMs = 600_000;

type HistoryContext = Pick<JobsContext, "settings" | "store" | "scheduler" | "clock" | "log">;

/**
 * Starts the recording. It ends, and stores the minute that is under way, when the teardown runs.
 * @param metrics Default: none are counted
 * @returns metrics that count each event for the history too, and pass it on
 */
export function startHistory(context: HistoryContext, teardown: Teardown, metrics: Metrics = noMetrics): Metrics {
  const { store, scheduler, clock, log } = context;
  const recorder = new HistoryRecorder(context, newToken());
  const round = async () => {
    try {
      await recorder.flush();
    } finally {
      recorder.sample(await scheduler.snapshot());
    }
  };
  const summarize = () => summarizeHistory(store, clock.wall());
  teardown.defer(() => recorder.close());
  teardown.defer(repeat(systemTimers, sampleMs, round, (err) => log.warn({ err }, "failed to record the history")));
  teardown.defer(
    repeat(systemTimers, summarizeMs, summarize, (err) => log.warn({ err }, "failed to summarize the history")),
  );
  return {
    ...metrics,
    jobSubmitted(job, dialect) {
      metrics.jobSubmitted(job, dialect);
      recorder.jobSubmitted(job);
    },
    jobFinished(job, outcome) {
      metrics.jobFinished(job, outcome);
      recorder.jobFinished(job, outcome);
    },
    callStarted(job, waitedMs) {
      metrics.callStarted(job, waitedMs);
      recorder.callStarted(job, waitedMs);
    },
    callEnded(call) {
      metrics.callEnded(call);
      recorder.callEnded(call);
    },
  };
}
