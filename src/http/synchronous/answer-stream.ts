// Streams the answer to a synchronous call. A failure before the first event gets a normal error response; a later one
// becomes the last event. A restarted answer contradicts the text already sent, so it ends the stream.
import type { FastifyReply } from "fastify";
import { SluiceError } from "../../domain/errors.ts";
import type { Job, JobRecord } from "../../domain/job.ts";
import type { CallersContext } from "../../jobs/callers/waiting-callers.ts";
import { JobFollower } from "../../jobs/read/follow.ts";
import { type TextPosition, textStart } from "../../jobs/read/text-position.ts";
import { eraseOnceRead } from "../erase-once-read.ts";
import { EventStream, type EventStreamOptions } from "../event-stream.ts";
import { failureOf, nameJob, runCall, type SynchronousCall, submitCall, whileCallerWaits } from "./synchronous-call.ts";
import { commentWhileWaiting } from "./wait-reports.ts";

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

/** The stream of one answer. */
export interface AnswerStream extends StreamForm {
  /** Whether anything was sent. Until then, a failure gets a normal error response. */
  readonly opened: boolean;
  /** Starts to report why the job waits. Called once the job is stored. */
  waits(job: Job): void;
  /** Ends the response and the reports. Called in every case. */
  close(): void;
}

export interface StreamedCall extends SynchronousCall {
  /**
   * Creates the stream of a job's answer.
   * @param onSlow to be called once if the reader is too slow
   */
  open: (job: Job, onSlow: () => void) => AnswerStream;
}

/**
 * Creates the `open` of a call whose API uses server-sent events.
 * @param keepAlive what keeps a silent stream alive, as in `EventStreamOptions`
 */
export function openEventStream(
  context: CallersContext,
  reply: FastifyReply,
  keepAlive: Omit<EventStreamOptions, "onSlow">,
  form: (job: Job, events: EventStream) => StreamForm,
): StreamedCall["open"] {
  return (job, onSlow) => {
    const events = new EventStream(reply, { ...keepAlive, onSlow });
    let stopComments = () => {};
    return {
      ...form(job, events),
      get opened() {
        return events.opened;
      },
      waits(stored: Job) {
        stopComments = commentWhileWaiting(context, stored, events, keepAlive.keepAliveMs);
      },
      close() {
        stopComments();
        events.end();
      },
    };
  };
}

/**
 * Streams a job's answer.
 * @throws SluiceError if nothing was sent yet; the caller gets a normal error response
 */
export function streamJob(context: CallersContext, call: StreamedCall): Promise<void> {
  return runCall(context, call, () => sendStream(context, call));
}

async function sendStream(context: CallersContext, call: StreamedCall): Promise<void> {
  const { reply, caller, options, limits, disconnected } = call;
  const limitHeaders = await limits?.();
  const broken = new AbortController();
  const breakOff = (message: string) => broken.abort(new SluiceError("stream_interrupted", message));
  let stream: AnswerStream | undefined;
  let follower: JobFollower | undefined;
  let position = textStart;

  const follow = (job: Job): void => {
    // The stream's first event sends the headers, so it is created when they are complete.
    nameJob(reply, job);
    if (limitHeaders) reply.headers(limitHeaders(job));
    const to = call.open(job, () => breakOff("The client read the stream too slowly."));
    stream = to;
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
    stream!.waits(submitted.job);
    const signal = AbortSignal.any([disconnected, broken.signal]);
    const record = await whileCallerWaits(context, submitted, call, () =>
      follower!.untilEnd(caller, { waitMs: options.waitMs, texts: options.texts, signal }),
    );
    if (!broken.signal.aborted) eraseOnceRead(context, reply, caller, record);
    const failure = broken.signal.aborted ? (broken.signal.reason as SluiceError) : failureOf(record, call);
    if (failure) throw failure;
    stream!.end(record, position);
  } catch (error) {
    if (!stream?.opened) throw error;
    if (!(error instanceof SluiceError)) context.log.error({ err: error }, "failed to stream an answer");
    stream.fail(
      error instanceof SluiceError ? error : new SluiceError("internal", "The service failed to process the request."),
    );
  } finally {
    follower?.stop();
    stream?.close();
  }
}
