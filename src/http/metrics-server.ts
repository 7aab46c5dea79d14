// The listener of its own for /metrics, with the same errors as the HTTP API.
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import Fastify, { type FastifyBaseLogger, LogController } from "fastify";
import type { Logger } from "pino";
import type { Settings } from "../config/settings.ts";
import { answerClientError, errorSchema, notFound, sendError } from "./error-responses.ts";
import type { MetricsAccess } from "./hooks/metrics-access.ts";
import type { HttpServer } from "./http-types.ts";
import { metricsRoutes, type Scrape } from "./routes/metrics-routes.ts";

/** A scrape is a small request, and takes as long as the store and the queue need to answer. Milliseconds. */
const requestTimeoutMs = 30_000;

export interface MetricsServerContext extends MetricsAccess {
  settings: Settings;
  scrape: Scrape;
  log: Logger;
}

/** Builds a server that is ready to `listen`. */
export function createMetricsServer({ scrape, log, ...access }: MetricsServerContext): HttpServer {
  const app: HttpServer = Fastify({
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: 1,
    requestTimeout: requestTimeoutMs,
    forceCloseConnections: true,
    frameworkErrors: sendError,
    clientErrorHandler: answerClientError,
  }).withTypeProvider<TypeBoxTypeProvider>();
  app.setErrorHandler(sendError);
  app.setNotFoundHandler((request, reply) => sendError(notFound(request), request, reply));
  app.addSchema(errorSchema);
  metricsRoutes(app, scrape, access);
  return app;
}
