// Streams a response from its reader's position: first past events, then new ones. A reader that disconnects cancels
// nothing, and can continue at any process with the number of its last event.
import type { FastifyReply } from "fastify";
import { SluiceError } from "../../domain/errors.ts";
import { isErased, type JobRecord } from "../../domain/job.ts";
import { jsonLine } from "../../domain/json-lines.ts";
import type { Caller } from "../../jobs/caller.ts";
import type { CallersContext } from "../../jobs/callers/waiting-callers.ts";
import { JobFollower } from "../../jobs/read/follow.ts";
import { type TextPosition, textStart } from "../../jobs/read/text-position.ts";
import { attemptOf, positionAfter, ResponseEvents } from "../../wire/openai/responses-events.ts";
import { eraseOnceRead } from "../erase-once-read.ts";
import { EventStream } from "../event-stream.ts";
import { commentWhileWaiting } from "./wait-reports.ts";

export interface FollowedResponse {
  reply: FastifyReply;
  caller: Caller;
  /** The response's job as it is now. */
  record: JobRecord;
  /** The number of the last event that the reader has. Absent if it has none. */
  after?: number | undefined;
  keepAliveMs: number;
  /** Aborts when the reader can no longer be answered. */
  disconnected: AbortSignal;
  /** Aborts when the server closes, with the error as its reason. */
  closing: AbortSignal;
}

/**
 * Streams a response's events.
 * @throws SluiceError `conflict` before anything was sent, if the reader's text is void
 */
export async function streamResponse(context: CallersContext, followed: FollowedResponse): Promise<void> {
  const { reply, caller, record, after, disconnected, closing } = followed;
  const { id: jobId } = record.job;
  let position = startOf(record, after);
  const broken = new AbortController();
  const breakOff = (message: string) => broken.abort(new SluiceError("stream_interrupted", message, { jobId }));
  const events = new EventStream(reply, {
    keepAliveMs: followed.keepAliveMs,
    onSlow: () => breakOff("The client read the stream too slowly. The response continues."),
  });
  const form = new ResponseEvents(record.job, after);
  const send = (objects: readonly { type: string }[]) => {
    for (const object of objects) events.send(jsonLine(object), { event: object.type });
  };
  reply.header("x-sluice-job-id", jobId);
  events.open();
  send(form.created());
  const follower = new JobFollower(
    context,
    jobId,
    (news, now) => {
      position = now;
      if (broken.signal.aborted) return;
      if (news.type === "text") send(form.text(news.text, now));
      else if (news.type === "state" && news.state === "in_progress") send(form.inProgress());
      else if (news.type === "restart") breakOff(`${startedAnew} The response continues.`);
    },
    position,
  );
  const stopComments = commentWhileWaiting(context, record.job, events, followed.keepAliveMs);
  try {
    const signal = AbortSignal.any([disconnected, broken.signal]);
    const ended = await context.callers.whileRead(record.job, caller, () =>
      follower.untilEnd(caller, { waitMs: Number.POSITIVE_INFINITY, signal, texts: "all" }),
    );
    if (broken.signal.aborted) throw broken.signal.reason;
    eraseOnceRead(context, reply, caller, ended);
    if (isErased(ended.job.request)) throw new SluiceError("not_found", "The response was deleted.", { jobId });
    if (ended.outcome?.status === "completed") send(form.end(ended, position));
    else if (ended.outcome) send(form.endWithout(ended));
    else if (closing.aborted) throw closing.reason;
  } catch (error) {
    if (!(error instanceof SluiceError)) context.log.error({ err: error, jobId }, "failed to stream a response");
    send(
      form.breakOff(
        error instanceof SluiceError
          ? error
          : new SluiceError("internal", "The service failed to process the request."),
      ),
    );
  } finally {
    stopComments();
    follower.stop();
    events.end();
  }
}

const startedAnew = "The call failed and was restarted. Discard the text received so far.";
const fromTheBeginning = "Read the response from the start, without starting_after.";

/** Returns the reader's position in the text. */
function startOf({ job, outcome, attempts }: JobRecord, after: number | undefined): TextPosition {
  if (after === undefined) return textStart;
  const position = positionAfter(after);
  const { attempt, chars } = position;
  const answering = outcome ? (outcome.attempt ?? attempt) : (attempts.at(-1)?.n ?? 0);
  if (outcome?.status === "completed" && attemptOf(after) > (outcome.attempt ?? attemptOf(after))) {
    const message = `The event with this number belongs to an earlier call, not to the one that produced the answer. ${fromTheBeginning}`;
    throw new SluiceError("conflict", message, { field: "starting_after", jobId: job.id });
  }
  // The job ended without an answer, so no text follows.
  if (chars === 0 || (outcome && outcome.status !== "completed")) return position;
  if (answering > attempt) {
    const message = `${startedAnew} ${fromTheBeginning}`;
    throw new SluiceError("conflict", message, { field: "starting_after", jobId: job.id });
  }
  // The numbers of events after the text exceed the length of the text.
  return outcome ? { ...position, chars: Math.min(chars, outcome.text?.length ?? 0) } : position;
}
