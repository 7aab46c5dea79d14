// Reports in comment lines of a stream why its job waits. Clients of event streams skip comments; people who watch the
// stream see them.
import type { Job } from "../../domain/job.ts";
import type { CallersContext } from "../../jobs/callers/waiting-callers.ts";
import { pauseSentence } from "../../jobs/pause.ts";
import { viewOf } from "../../jobs/read/view.ts";
import { jobResource } from "../../wire/job-resource.ts";
import type { EventStream } from "../event-stream.ts";

/**
 * Delay before the first comment, in milliseconds. A stream without output can still return an error status, so early
 * comments report only lasting causes: a pause, or deployments that do not serve.
 */
const firstLookMs = 1_000;
const lasting: readonly string[] = ["paused", "out_of_service", "cool_down"];

/**
 * Sends a comment when the wait lasts, and whenever its text changes, until you call the returned function.
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
  let timer: NodeJS.Timeout | undefined;

  const sendComment = (text: string | undefined) => {
    if (stopped || text === undefined || text === last) return;
    last = text;
    events.comment(text);
  };
  const look = async (isFirst: boolean) => {
    const why = await whyWaiting(context, job);
    if (!isFirst || (why && lasting.includes(why.kind))) sendComment(why?.text);
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

  context.pauses
    .of(job)
    .then((pause) => sendComment(pause && pauseSentence(pause)))
    .catch(() => {});
  checkAfter(Math.min(firstLookMs, everyMs), true);
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}

/** Returns why the job waits, or undefined if it does not wait. */
async function whyWaiting(context: CallersContext, { id }: Job): Promise<{ kind: string; text: string } | undefined> {
  const record = await context.store.get(id);
  if (!record || record.outcome) return undefined;
  const view = await viewOf(context, record);
  const { waiting_on: on, position, eta } = jobResource(view, context.clock.wall());
  if (!on) return undefined;
  const place = position === null ? "queued" : `queued at position ${position}`;
  return { kind: on.kind, text: `${place}: ${on.message}${eta === null ? "" : ` Expected start: ${eta}.`}` };
}
