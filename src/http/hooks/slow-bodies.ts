// Limits the time to send a request's body. Node has one limit for all requests, which must leave time for file
// uploads.
import type { IncomingMessage } from "node:http";
import type { ServerHttp2Stream } from "node:http2";
import type { FastifyReply, FastifyRequest } from "fastify";
import { SluiceError } from "../../domain/errors.ts";
import { answerClientError, requestTooSlow, sendError } from "../error-responses.ts";
import type { HttpServer } from "../http-types.ts";
import { http2StreamOf } from "../http2-streams.ts";

declare module "fastify" {
  interface FastifyContextConfig {
    /** Whether the route takes a form with a file, so that its body may arrive slowly. Default: false. */
    upload?: boolean;
  }
}

const bodyTimeoutMs = 60_000;

/**
 * Answers 408 to requests whose body takes longer than the timeout, and closes the connection or the HTTP/2 stream. File uploads are exempt.
 * @param timeoutMs maximum time for the body, in milliseconds
 */
export function boundSlowBodies(app: HttpServer, timeoutMs: number = bodyTimeoutMs): void {
  const timers = new WeakMap<FastifyRequest, NodeJS.Timeout>();
  const stop = (request: FastifyRequest) => clearTimeout(timers.get(request));

  app.addHook("onRequest", (request, reply, done) => {
    const { headers, raw } = request;
    const isLong = headers["content-length"] !== undefined || headers["transfer-encoding"] !== undefined;
    const hasBody = isLong || http2StreamOf(raw)?.endAfterHeaders === false;
    if (hasBody && !request.routeOptions.config?.upload) {
      const cut = () => {
        if (raw.complete) return;
        const stream = http2StreamOf(raw);
        if (stream) cutStream(request, reply, stream);
        else answerClientError({ code: "ERR_HTTP_REQUEST_TIMEOUT" }, raw.socket);
      };
      timers.set(request, setTimeout(cut, timeoutMs));
    }
    done();
  });
  // The body was read, or was refused earlier.
  app.addHook("preValidation", (request, _reply, done) => {
    stop(request);
    done();
  });
  app.addHook("onResponse", (request, _reply, done) => {
    stop(request);
    done();
  });
  app.addHook("onRequestAbort", (request, done) => {
    stop(request);
    done();
  });
}

/** Answers a request and ends its stream. Other requests of the connection continue. */
function cutStream(request: FastifyRequest, reply: FastifyReply, stream: ServerHttp2Stream): void {
  stream.once("finish", () => stream.close());
  sendError(new SluiceError("request_timeout", requestTooSlow), request, reply);
}

const pauseMs = 100;
const longestMs = 5_000;

/**
 * Discards the rest of a refused body, and calls `answer` when the sender ends or pauses. Most clients read the
 * response only after sending everything; an earlier close looks like a broken connection to them.
 */
export function whenSent(body: IncomingMessage, answer: () => void): void {
  if (body.readableEnded || body.destroyed) {
    answer();
    return;
  }
  const events = ["end", "close", "error"];
  const end = () => {
    clearTimeout(longest);
    clearTimeout(pause);
    for (const event of events) body.off(event, end);
    body.off("data", more);
    answer();
  };
  const longest = setTimeout(end, longestMs);
  const pause = setTimeout(end, pauseMs);
  const more = () => pause.refresh();
  for (const event of events) body.on(event, end);
  body.on("data", more).resume();
}
