// Streams the answer to a synchronous call. A failure before the first event gets a normal error response; a later one
// becomes the last event. A restarted answer contradicts the text already sent, so it ends the stream.
import { SluiceError } from "../../domain/errors.ts";
import type { Job, JobRecord } from "../../domain/job.ts";
import type { CallersContext } from "../../jobs/callers/waiting-callers.ts";
import { JobFollower } from "../../jobs/read/follow.ts";
import { type TextPosition, textStart } from "../../jobs/read/text-position.ts";
import { eraseOnceRead } from "../erase-once-read.ts";
import { EventStream } from "../event-stream.ts";
import { failureOf, type SynchronousCall, submitCall, whileCallerWaits } from "./synchronous-call.ts";
import { commentWhileWaiting } from "./wait-comments.ts";

/** How a call's API formats its events. */
export interface StreamForm {
  /**
   * Formats a piece of text.
   * @param position the position after this text
   */
  text(text: string, position: TextPosition): void;
  end(record: JobRecord, position: TextPosition): void;
  fail(error: SluiceError): void;
}

export interface StreamedCall extends SynchronousCall {
  keepAliveMs: number;
  form: (job: Job, events: EventStream) => StreamForm;
}

/**
 * Streams a job's answer.
 * @throws SluiceError if nothing was sent yet; the caller gets a normal error response
 */
export async function streamJob(context: CallersContext, call: StreamedCall): Promise<void> {
  const { reply, caller, options, disconnected, closing } = call;
  const broken = new AbortController();
  const breakOff = (message: string) => broken.abort(new SluiceError("stream_interrupted", message));
  let events: EventStream | undefined;
  let stopComments = () => {};
  let follower: JobFollower | undefined;
  let form: StreamForm | undefined;
  let position = textStart;

  const follow = (job: Job): void => {
    reply.header("x-sluice-job-id", job.id);
    // Its first comment sends the headers, so it begins when they are complete.
    events = new EventStream(reply, {
      keepAliveMs: call.keepAliveMs,
      onSlow: () => breakOff("The client read the stream too slowly."),
    });
    const to = call.form(job, events);
    form = to;
    follower = new JobFollower(context, job.id, (news, now) => {
      position = now;
      if (broken.signal.aborted) return;
      if (news.type === "text") to.text(news.text, now);
      else if (news.type === "restart")
        breakOff("The call failed and was restarted. Discard the text received so far.");
    });
  };

  try {
    // Follows a new job before it is stored, so that no event is missed.
    const submitted = await submitCall(context, call.input, caller, options, { streamed: true, onNew: follow });
    if (!follower) follow(submitted.job);
    stopComments = commentWhileWaiting(context, submitted.job, events!, call.keepAliveMs);
    const signal = AbortSignal.any([disconnected, broken.signal]);
    const record = await whileCallerWaits(context, submitted, options, () =>
      follower!.untilEnd(caller, { waitMs: options.waitMs, signal }),
    );
    if (!broken.signal.aborted) eraseOnceRead(context, reply, caller, record);
    const failure = broken.signal.aborted ? (broken.signal.reason as SluiceError) : failureOf(record, closing);
    if (failure) throw failure;
    form!.end(record, position);
  } catch (error) {
    if (!events?.opened) throw error;
    if (!(error instanceof SluiceError)) context.log.error({ err: error }, "failed to stream an answer");
    form!.fail(
      error instanceof SluiceError ? error : new SluiceError("internal", "The service failed to process the request."),
    );
  } finally {
    stopComments();
    follower?.stop();
    events?.end();
  }
}
