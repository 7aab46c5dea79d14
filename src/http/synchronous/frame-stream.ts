// Streams an answer in the frames of the Bedrock Runtime API. While there is nothing to send, frames of a type that AWS's
// SDKs do not know keep the stream alive: each restarts the read timeout of the client.
import type { FastifyReply } from "fastify";
import type { CallersContext } from "../../jobs/callers/waiting-callers.ts";
import { failureFrame, framesOf, frameType, type StreamWait, waitingFrame } from "../../wire/bedrock/bedrock-frames.ts";
import { LongResponse } from "../long-response.ts";
import type { StreamedCall } from "./answer-stream.ts";
import { reportWaiting } from "./wait-reports.ts";

const running: StreamWait = { state: "in_progress", position: null, expected_start: null };

/**
 * Creates the `open` of a call whose API uses event-stream frames.
 * @param keepAliveMs interval between the frames that keep a silent stream alive, in milliseconds
 */
export function openFrameStream(
  context: CallersContext,
  reply: FastifyReply,
  keepAliveMs: number,
): StreamedCall["open"] {
  return (_job, onSlow) => {
    const headers = { "content-type": frameType, "x-amzn-bedrock-content-type": "application/json" };
    const response = new LongResponse(reply, { headers, onSlow });
    let isQuiet = true;
    let stopReports = () => {};
    const write = (frames: Buffer) => {
      isQuiet = false;
      response.write(frames);
    };
    const keepAlive = setInterval(() => {
      if (isQuiet) response.write(waitingFrame(running));
      isQuiet = true;
    }, keepAliveMs);
    keepAlive.unref();
    return {
      get opened() {
        return response.opened;
      },
      waits(job) {
        stopReports = reportWaiting(context, job, keepAliveMs, ({ position, expectedStart, message }) => {
          write(waitingFrame({ state: "queued", position, expected_start: expectedStart, message }));
        });
      },
      text: (lines) => write(framesOf(lines)),
      // The whole answer was sent. An answer without events still has headers.
      end: () => response.open(),
      fail: (error) => write(failureFrame(error)),
      close() {
        clearInterval(keepAlive);
        stopReports();
        response.end();
      },
    };
  };
}
