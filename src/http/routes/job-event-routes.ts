// Serves GET /v1/jobs/{id}/events: a job's states and text as server-sent events. A reader that lost the connection
// reconnects to any process with the id of its last event. The id is its position in the text, so the service keeps no
// state for readers.
import type { FastifyReply } from "fastify";
import Type from "typebox";
import { quote, SluiceError } from "../../domain/errors.ts";
import { isFinal, type Job, jobStates } from "../../domain/job.ts";
import { isNative, type JobRequest } from "../../domain/request.ts";
import type { CallersContext } from "../../jobs/callers/waiting-callers.ts";
import { JobFollower, type JobNews } from "../../jobs/read/follow.ts";
import { type TextPosition, textStart } from "../../jobs/read/text-position.ts";
import { requireJob } from "../../jobs/read/view.ts";
import { textOfEvents } from "../../native/native-answer.ts";
import { jobParams } from "../../wire/job-resource.ts";
import type { WatchCaller } from "../caller-watch.ts";
import { closingSignal, disconnectSignal } from "../disconnect.ts";
import { eraseOnceRead } from "../erase-once-read.ts";
import { errorResponses } from "../error-responses.ts";
import { EventStream } from "../event-stream.ts";
import type { HttpServer } from "../http-types.ts";
import { commentWhileWaiting } from "../synchronous/wait-reports.ts";

const description = `Each event's id is the reader's position in the text. To continue after an interruption, send it as \`Last-Event-ID\`.

- \`state\` \`{job_id, status}\`: the job reached a state. The stream ends after a final state.
- \`text\` \`{attempt, text}\`: more of the answer.
- \`restart\` \`{attempt}\`: discard all text so far; another call starts from the beginning.
- \`gap\` \`{attempt}\`: the stream missed some text. It sends no more text until it has the missing part, or until the job ends and it sends the rest at once.
- \`closed\` \`{reason}\`: the service ends the stream before the job ends; reconnect. \`slow\`: the reader was too slow; \`stopping\`: the process is stopping; \`unauthenticated\`: the API key was revoked, or the session has ended.

Comments keep the connection alive. After the final state, a reconnect returns 204, which tells browsers to stop.`;

const attempt = Type.Integer({ description: "The number of the attempt." });

/** The data of one event. */
const eventData = Type.Union([
  Type.Object({ job_id: Type.String({ format: "uuid" }), status: Type.Enum([...jobStates]) }),
  Type.Object({ attempt, text: Type.String() }),
  Type.Object({ attempt }),
  Type.Object({ reason: Type.Enum(["slow", "stopping", "unauthenticated"]) }),
]);

/** The id of the final event. */
const lastId = "end";

/**
 * Adds the route of job events.
 * @param keepAliveMs interval of comments in a stream without events, in milliseconds
 */
export function jobEventRoutes(
  app: HttpServer,
  context: CallersContext,
  watchCaller: WatchCaller,
  keepAliveMs: number,
): void {
  const closing = closingSignal(app);

  app.get(
    "/v1/jobs/:job_id/events",
    {
      schema: {
        tags: ["jobs"],
        operationId: "followJob",
        summary: "Stream the states and the text of a job",
        description,
        params: jobParams,
        headers: Type.Object({ "last-event-id": Type.Optional(Type.String()) }),
        response: {
          200: {
            description: "A stream of server-sent events.",
            content: { "text/event-stream": { schema: eventData } },
          },
          204: Type.Null({ description: "No event follows the one of Last-Event-ID." }),
          ...errorResponses(["invalid_request", "job_not_found", "unavailable"]),
        },
      },
    },
    async (request, reply) => {
      const { params, headers, caller } = request;
      const jobId = params.job_id.toLowerCase();
      const last = headers["last-event-id"];
      const from = last === undefined || last === lastId ? textStart : positionOf(last);
      // Before the first event, the response can still be a 404.
      const { job } = await requireJob(context, jobId, caller);
      if (last === lastId) return (reply as FastifyReply).code(204).send();

      const early = new AbortController();
      const endEarly = (reason: "slow" | "unauthenticated") => early.abort(reason);
      const events = new EventStream(reply, { keepAliveMs, onSlow: () => endEarly("slow") });
      const stopWatch = watchCaller(request, () => endEarly("unauthenticated"));
      const notify = (news: JobNews, position: TextPosition) => {
        if (early.signal.aborted) return;
        const { event, data, final } = eventOf(job, news, position);
        events.send(JSON.stringify(data), { event, id: final ? lastId : idOf(position) });
      };
      const stopComments = commentWhileWaiting(context, job, events, keepAliveMs);
      const follower = new JobFollower(context, jobId, notify, from);
      try {
        const signal = AbortSignal.any([early.signal, disconnectSignal(reply, closing)]);
        const record = await context.callers.whileRead(job, caller, () =>
          follower.untilEnd(caller, { waitMs: Number.POSITIVE_INFINITY, signal }),
        );
        const { aborted, reason } = early.signal;
        if (!aborted) eraseOnceRead(context, reply, caller, record);
        if (aborted || !record.outcome) {
          events.send(JSON.stringify({ reason: aborted ? reason : "stopping" }), { event: "closed" });
        }
      } catch (error) {
        if (!events.opened) throw error;
        // The reader reconnects by itself and then gets the error.
        context.log.warn({ err: error, jobId }, "failed to stream the events of a job");
      } finally {
        stopWatch();
        stopComments();
        follower.stop();
        events.end();
      }
      return reply;
    },
  );
}

function eventOf({ id, request }: Job, news: JobNews, { attempt }: TextPosition) {
  switch (news.type) {
    case "state":
      return { event: news.type, data: { job_id: id, status: news.state }, final: isFinal(news.state) };
    case "text":
      return { event: news.type, data: { attempt, text: readableText(request, news.text) } };
    default:
      return { event: news.type, data: { attempt } };
  }
}

/** Returns the answer's text. The news of a streamed native request is lines of events. */
function readableText(request: JobRequest, text: string): string {
  if (!isNative(request) || !request.native.streamed) return text;
  try {
    return textOfEvents(request.native.operation, text);
  } catch {
    // Only a position that no event had begins in the middle of a line.
    return "";
  }
}

function idOf({ attempt, next, chars }: TextPosition): string {
  return `${attempt}.${next}.${chars}`;
}

/**
 * Parses the id of an event.
 * @throws SluiceError `invalid_request` for an id that no event can have
 */
function positionOf(id: string): TextPosition {
  if (!/^\d{1,9}\.\d{1,9}\.\d{1,12}$/.test(id)) {
    const message = `Last-Event-ID must be the id of an event of this job; got ${quote(id)}.`;
    throw new SluiceError("invalid_request", message, { field: "Last-Event-ID" });
  }
  const [attempt, next, chars] = id.split(".").map(Number) as [number, number, number];
  return { attempt, next, chars };
}
