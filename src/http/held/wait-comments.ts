// Tells the reader of a stream why its job waits, in comment lines. Clients of event streams skip those; people who look at
// the stream see them.
import type { Job } from "../../domain/job.ts";
import type { HeldContext } from "../../jobs/callers/waiting-callers.ts";
import { pauseSentence } from "../../jobs/pause.ts";
import { viewOf } from "../../jobs/read/view.ts";
import { jobResource } from "../../wire/job-resource.ts";
import type { EventStream } from "../event-stream.ts";

/**
 * A stream that nothing was sent on can still answer an error with its status, so this early only what may last is told:
 * a pause, or deployments that do not serve. In milliseconds.
 */
const firstLookMs = 1_000;
const lasting: readonly string[] = ["paused", "out_of_service", "cool_down"];

/**
 * Sends a comment when the wait begins to last, and again whenever what it says changes, until the returned function is
 * called.
 * @param everyMs how often it is looked at
 */
export function commentWhileWaiting(context: HeldContext, job: Job, events: EventStream, everyMs: number): () => void {
  let stopped = false;
  let last: string | undefined;
  let timer: NodeJS.Timeout | undefined;

  const say = (text: string | undefined) => {
    if (stopped || text === undefined || text === last) return;
    last = text;
    events.comment(text);
  };
  const look = async (isFirst: boolean) => {
    const why = await whyWaiting(context, job);
    if (!isFirst || (why && lasting.includes(why.kind))) say(why?.text);
  };
  const again = (ms: number, isFirst: boolean) => {
    timer = setTimeout(() => {
      look(isFirst)
        .catch((error) => context.log.debug({ err: error, jobId: job.id }, "failed to report why a job waits"))
        .finally(() => {
          if (!stopped) again(everyMs, false);
        });
    }, ms);
    timer.unref();
  };

  context.pauses
    .of(job)
    .then((pause) => say(pause && pauseSentence(pause)))
    .catch(() => {});
  again(Math.min(firstLookMs, everyMs), true);
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}

/** Undefined for a job that does not wait. */
async function whyWaiting(context: HeldContext, { id }: Job): Promise<{ kind: string; text: string } | undefined> {
  const record = await context.store.get(id);
  if (!record || record.outcome) return undefined;
  const view = await viewOf(context, record);
  const { waiting_on: on, position, eta } = jobResource(view, context.clock.wall());
  if (!on) return undefined;
  const place = position === null ? "queued" : `queued at position ${position}`;
  return { kind: on.kind, text: `${place}: ${on.message}${eta === null ? "" : ` Expected start: ${eta}.`}` };
}
