// Bounds how long a client may take to send the body of a request. Node's own limit is one for all requests, and has to
// let files pass.
import type { IncomingMessage } from "node:http";
import type { FastifyRequest } from "fastify";
import { answerClientError } from "../error-responses.ts";
import type { HttpServer } from "../http-types.ts";

declare module "fastify" {
  interface FastifyContextConfig {
    /** The route takes a form with a file, and its body may take long to arrive. */
    upload?: boolean;
  }
}

const bodyTimeoutMs = 60_000;

/** Requests that have a body and are not files are answered 408 and cut off. */
export function boundSlowBodies(app: HttpServer, timeoutMs: number = bodyTimeoutMs): void {
  const timers = new WeakMap<FastifyRequest, NodeJS.Timeout>();
  const stop = (request: FastifyRequest) => clearTimeout(timers.get(request));

  app.addHook("onRequest", (request, _reply, done) => {
    const { headers, raw } = request;
    const hasBody = headers["content-length"] !== undefined || headers["transfer-encoding"] !== undefined;
    if (hasBody && !request.routeOptions.config?.upload) {
      const cut = () => {
        if (!raw.complete)
          answerClientError(Object.assign(new Error(), { code: "ERR_HTTP_REQUEST_TIMEOUT" }), raw.socket);
      };
      timers.set(request, setTimeout(cut, timeoutMs));
    }
    done();
  });
  // The body has been read, or was refused before that.
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

const pauseMs = 100;
const longestMs = 5_000;

/**
 * Throws away what is left of a body that was refused, and calls `answer` when its sender has ended or pauses. Most clients
 * look for an answer only when they have sent all; answered and cut off before that, they see a broken connection.
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
