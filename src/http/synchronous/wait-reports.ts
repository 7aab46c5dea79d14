// Reports to the caller of a stream why its job waits.
import type { Job } from "../../domain/job.ts";
import type { CallersContext } from "../../jobs/callers/waiting-callers.ts";
import { pauseSentence } from "../../jobs/pause.ts";
import { viewOf } from "../../jobs/read/view.ts";
import { jobResource } from "../../wire/job-resource.ts";
import type { EventStream } from "../event-stream.ts";

/** Why a job waits. */
interface WaitReport {
  /** What it waits for, as in the job's resource; see `waiting_on.kind`. */
  kind: string;
  /** Position in the queue, from 1. Null if it is unknown. */
  position: number | null;
  /** Expected start, in ISO 8601. Null if it is unknown. */
  expectedStart: string | null;
  /** A sentence that says what it waits for. */
  message: string;
}

/** Delay before the first report, in milliseconds. */
const firstLookMs = 1_000;

/**
 * Calls `report` while the job waits, until you call the returned function.
 * @param everyMs interval between reports, in milliseconds
 */
export function reportWaiting(
  context: CallersContext,
  job: Job,
  everyMs: number,
  report: (why: WaitReport, isFirst: boolean) => void,
): () => void {
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  const look = async (isFirst: boolean) => {
    const why = await whyWaiting(context, job.id);
    if (why && !stopped) report(why, isFirst);
  };
  const checkAfter = (ms: number, isFirst: boolean) => {
    timer = setTimeout(() => {
      look(isFirst)
        .catch((error) => context.log.debug({ err: error, jobId: job.id }, "failed to report why a job waits"))
        .finally(() => {
          if (!stopped) checkAfter(everyMs, false);
        });
    }, ms);
    timer.unref();
  };
  checkAfter(Math.min(firstLookMs, everyMs), true);
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}

/** Returns why a job waits, or undefined if it does not wait. */
async function whyWaiting(context: CallersContext, jobId: string): Promise<WaitReport | undefined> {
  const record = await context.store.get(jobId, "none");
  if (!record || record.outcome) return undefined;
  const view = await viewOf(context, record);
  const { waiting_on: on, position, eta } = jobResource(view, context.clock.wall());
  return on ? { kind: on.kind, position, expectedStart: eta, message: on.message } : undefined;
}

/** Returns a report as one text. */
function waitText({ position, expectedStart, message }: WaitReport): string {
  const place = position === null ? "queued" : `queued at position ${position}`;
  return `${place}: ${message}${expectedStart === null ? "" : ` Expected start: ${expectedStart}.`}`;
}

/**
 * A stream of server-sent events without output can still return an error status, so early comments report only lasting
 * causes: a pause, or deployments that do not serve.
 */
const lasting: readonly string[] = ["paused", "out_of_service", "cool_down"];

/**
 * Sends a comment when the wait lasts, and whenever its text changes, until you call the returned function. Clients of
 * event streams skip comments; people who watch the stream see them.
 * @param everyMs interval between checks, in milliseconds
 */
export function commentWhileWaiting(
  context: CallersContext,
  job: Job,
  events: EventStream,
  everyMs: number,
): () => void {
  let stopped = false;
  let last: string | undefined;
  const comment = (text: string) => {
    if (stopped || text === last) return;
    last = text;
    events.comment(text);
  };
  const stop = reportWaiting(context, job, everyMs, (why, isFirst) => {
    if (!isFirst || lasting.includes(why.kind)) comment(waitText(why));
  });
  context.pauses
    .of(job)
    .then((pause) => {
      if (pause) comment(pauseSentence(pause));
    })
    .catch(() => {});
  return () => {
    stopped = true;
    stop();
  };
}
