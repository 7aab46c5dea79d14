// Builds the HTTP interface: one Fastify instance with the resources of routes/, one error shape and one OpenAPI document.
import { isUtf8 } from "node:buffer";
import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import Fastify, { type FastifyBaseLogger, LogController } from "fastify";
import { SluiceError } from "../domain/errors.ts";
import { quote } from "../domain/quote.ts";
import { WaitingCallers } from "../jobs/callers/waiting-callers.ts";
import type { JobsContext } from "../jobs/context.ts";
import { PauseWatch } from "../jobs/control/pause-watch.ts";
import { keepExact } from "../jobs/exact-json.ts";
import type { KeyRegistry } from "../jobs/keys/registry.ts";
import { requireUnicodeIn } from "../jobs/unicode.ts";
import { authenticate } from "./authentication.ts";
import { dryRunSchema } from "./dry-run-resource.ts";
import { answerClientError, enqueueErrorSchema, errorSchema, jsonExpected, notFound, sendError } from "./errors.ts";
import { jobSchema, jobSummarySchema } from "./job-resource.ts";
import { keySchema } from "./key-resource.ts";
import { refuseOtherMethods } from "./methods.ts";
import { refuseOddHeaders } from "./odd-headers.ts";
import { batchDryRunSchema } from "./openai/batch-dry-run.ts";
import { batchSchema, fileSchema } from "./openai/batch-resource.ts";
import { openAiErrorSchema } from "./openai/errors.ts";
import { refuseForeignPages } from "./origin.ts";
import { refuseUnknown } from "./queries.ts";
import { batchRoutes } from "./routes/batches.ts";
import { chatRoutes } from "./routes/chat.ts";
import { configRoutes } from "./routes/config.ts";
import { deploymentRoutes } from "./routes/deployments.ts";
import { collectDocumentation, documentationRoutes } from "./routes/docs.ts";
import { enqueueRoutes } from "./routes/enqueue.ts";
import { fileRoutes } from "./routes/files.ts";
import { healthRoutes } from "./routes/health.ts";
import { jobChangeRoutes } from "./routes/job-changes.ts";
import { jobEventRoutes } from "./routes/job-events.ts";
import { jobFilterRoutes } from "./routes/job-filters.ts";
import { jobRoutes } from "./routes/jobs.ts";
import { keyRoutes } from "./routes/keys.ts";
import { modelRoutes } from "./routes/models.ts";
import { pauseRoutes } from "./routes/pauses.ts";
import { quotaRoutes } from "./routes/quotas.ts";
import { responseRoutes } from "./routes/responses.ts";
import { statsRoutes } from "./routes/stats.ts";
import { statusRoutes } from "./routes/status.ts";
import { usageRoutes } from "./routes/usage.ts";
import { webhookRoutes } from "./routes/webhooks.ts";
import { buildSerializer } from "./serialization.ts";
import { boundSlowBodies, whenSent } from "./slow-bodies.ts";
import type { HttpServer } from "./types.ts";
import { compileValidator, validationError } from "./validation.ts";
import { deliverySchema } from "./webhook-resource.ts";

/** How long a client may take to send the headers of a request, and the whole of a file; Node looks every 30 s. */
const headersTimeoutMs = 60_000;
const uploadTimeoutMs = 3_600_000;

declare module "fastify" {
  interface FastifyContextConfig {
    /** Places in the body that keep a number which JavaScript cannot represent; see jobs/exact-json.ts. Default: none. */
    keptAsText?: readonly string[];
  }
}

export interface HttpContext extends JobsContext {
  keys: KeyRegistry;
  /** The callers of held calls. Default: of this server alone. */
  callers?: WaitingCallers;
}

export interface HttpOptions {
  /** How often an event stream that has nothing to tell sends a comment, so that proxies do not cut it. Default: 10 s. */
  keepAliveMs?: number;
}

/** Ready to `listen` or `inject`. Closing it lets waiting requests answer with the job as it is. */
export function createHttpServer(context: HttpContext, { keepAliveMs = 10_000 }: HttpOptions = {}): HttpServer {
  const held = Object.assign(context, {
    callers: context.callers ?? new WaitingCallers(context),
    pauses: context.pauses ?? new PauseWatch(context),
  });
  const { settings, log, keys } = context;
  const app = Fastify({
    loggerInstance: log as FastifyBaseLogger,
    // A line for every request costs more than the request; failures of ours are logged where they are answered.
    logController: new LogController({ disableRequestLogging: true }),
    // For the same reason no request has a logger of its own: what is logged about it names its id.
    childLoggerFactory: (logger) => logger,
    genReqId: requestIds(),
    bodyLimit: settings.limits.maxRequestBytes,
    requestTimeout: uploadTimeoutMs,
    http: { headersTimeout: headersTimeoutMs, requireHostHeader: false },
    // While it closes, requests on open connections are answered as usual, with Connection: close.
    return503OnClosing: false,
    // Longer than any path that Node lets through: an id that is too long is a wrong id, with the error of one.
    routerOptions: { maxParamLength: 65_536 },
    frameworkErrors: sendError,
    clientErrorHandler: answerClientError,
    schemaErrorFormatter: validationError,
    schemaController: { compilersFactory: { buildSerializer } },
  }).withTypeProvider<TypeBoxTypeProvider>();

  app.setValidatorCompiler(compileValidator);
  app.setErrorHandler((error, request, reply) => whenSent(request.raw, () => sendError(error, request, reply)));
  app.setNotFoundHandler((request, reply) => sendError(notFound(request), request, reply));
  app.decorateRequest("caller");
  app.addHook("onRequest", refuseOddHeaders);
  app.addHook("onRequest", authenticate(keys));
  app.addHook("onRequest", refuseForeignPages(settings.host, keys));
  boundSlowBodies(app);
  acceptJsonOnly(app);
  letConnectionsGo(app);
  for (const schema of [
    errorSchema,
    enqueueErrorSchema,
    openAiErrorSchema,
    jobSchema,
    jobSummarySchema,
    dryRunSchema,
    fileSchema,
    batchSchema,
    batchDryRunSchema,
    keySchema,
    deliverySchema,
  ])
    app.addSchema(schema);

  collectDocumentation(app);
  app.register(async (routes: HttpServer) => {
    refuseUnknown(routes);
    refuseOtherMethods(routes, () => {
      enqueueRoutes(routes, context);
      statusRoutes(routes, context);
      jobRoutes(routes, held);
      jobFilterRoutes(routes, context);
      jobChangeRoutes(routes, context);
      jobEventRoutes(routes, held, keepAliveMs);
      chatRoutes(routes, held, keepAliveMs);
      responseRoutes(routes, held, keepAliveMs);
      modelRoutes(routes, context);
      fileRoutes(routes, context);
      batchRoutes(routes, context);
      deploymentRoutes(routes, context);
      quotaRoutes(routes, context);
      pauseRoutes(routes, context);
      configRoutes(routes, context);
      statsRoutes(routes, context);
      usageRoutes(routes, context);
      keyRoutes(routes, context, keys);
      webhookRoutes(routes, context);
      healthRoutes(routes, context);
      documentationRoutes(routes);
    });
  });
  return app;
}

/**
 * Closing waits for open connections. Those that are idle are closed at once, but one whose request was still running
 * becomes idle later, and a client that keeps it would hold the close up for the keep-alive time of 72 s. One over which
 * nothing has come yet does not count as idle: browsers and Node's fetch open such, and would hold it up for a minute.
 */
function letConnectionsGo(app: HttpServer): void {
  const open = new Set<Socket>();
  app.server.on("connection", (socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
  });
  let sweep: NodeJS.Timeout | undefined;
  const close = () => {
    app.server.closeIdleConnections();
    for (const socket of open) if (socket.bytesRead === 0) socket.destroy();
  };
  app.addHook("preClose", async () => {
    sweep = setInterval(close, 20);
  });
  app.addHook("onClose", async () => clearInterval(sweep));
}

/** Unique over restarts as well, so that an id found in an old log is not mistaken for a new one. */
function requestIds(): () => string {
  const start = randomBytes(4).toString("hex");
  let n = 0;
  return () => `${start}-${(++n).toString(36)}`;
}

/** Bytes that are no UTF-8 are refused: decoded, they would silently become another prompt than was sent. */
function acceptJsonOnly(app: HttpServer): void {
  const parse = app.getDefaultJsonParser("error", "error");
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "buffer" }, (request, body: Buffer, done) => {
    // Many clients name the type of a body that they do not send.
    if (body.length === 0 && request.routeOptions.schema?.body === undefined) return done(null, undefined);
    const charset = charsetsOf(request.headers["content-type"]).find((name) => !/^utf-?8$/i.test(name));
    if (charset !== undefined) {
      const message = `JSON must be UTF-8; got the charset ${quote(charset)}.`;
      return done(new SluiceError("unsupported_media_type", message, { field: "Content-Type" }));
    }
    if (!isUtf8(body)) return done(new SluiceError("invalid_json", "The body is not valid UTF-8."));
    const text = body.toString();
    parse(request, text, (error, value) => {
      if (error) return done(jsonError(text, error));
      try {
        requireUnicodeIn(value, text);
        keepExact(value, text, request.routeOptions.config.keptAsText ?? []);
      } catch (reason) {
        return done(reason as Error);
      }
      done(null, value);
    });
  });
  // A form is for a file, and its route reads it as it arrives.
  app.addContentTypeParser("multipart/form-data", (request, _body, done) => {
    const { upload } = request.routeOptions.config;
    done(upload ? null : new SluiceError("unsupported_media_type", jsonExpected), undefined);
  });
}

/** Every charset that a media type names: which of two a reader takes is not defined. */
function charsetsOf(contentType = ""): string[] {
  const parameters = contentType.matchAll(/;\s*charset\*?\s*=\s*(?:"([^"]*)"|([^\s;]*))/gi);
  return [...parameters].map(([, quoted, bare]) => quoted ?? bare ?? "");
}

function jsonError(text: string, error: Error): Error {
  if (text === "") return error;
  try {
    JSON.parse(text);
    return new SluiceError(
      "invalid_json",
      "The body holds a key that is not allowed: __proto__ or constructor.prototype.",
    );
  } catch (reason) {
    return new SluiceError("invalid_json", `The body is not valid JSON: ${(reason as Error).message}.`);
  }
}
