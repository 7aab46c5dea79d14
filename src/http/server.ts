// Builds the HTTP server: one Fastify instance with the resources of routes/, one error shape and one OpenAPI document.

import { randomBytes } from "node:crypto";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import Fastify, { type FastifyBaseLogger, LogController } from "fastify";
import type { ReloadReport } from "../config/reloadable.ts";
import type { Caller } from "../jobs/caller.ts";
import type { WaitingCallers } from "../jobs/callers/waiting-callers.ts";
import type { PauseWatch } from "../jobs/control/pause-watch.ts";
import type { JobsContext } from "../jobs/jobs-context.ts";
import type { KeyRegistry } from "../jobs/keys/key-registry.ts";
import { QuotaRooms } from "../jobs/read/quota-room.ts";
import { anthropicErrorSchema } from "../wire/anthropic/anthropic-errors.ts";
import { auditEntrySchema } from "../wire/audit-resource.ts";
import { bedrockErrorSchema } from "../wire/bedrock/bedrock-errors.ts";
import { validationError } from "../wire/body-check.ts";
import { dryRunSchema } from "../wire/dry-run-resource.ts";
import { jobSchema, jobSummarySchema } from "../wire/job-resource.ts";
import { keySchema } from "../wire/key-resource.ts";
import { batchDryRunSchema } from "../wire/openai/batch-dry-run-resource.ts";
import { batchSchema, fileSchema } from "../wire/openai/batch-resource.ts";
import { openAiErrorSchema } from "../wire/openai/openai-errors.ts";
import { jobRequestSchema } from "../wire/request-resource.ts";
import { deliverySchema } from "../wire/webhook-resource.ts";
import { callerWatch } from "./caller-watch.ts";
import { trustIn } from "./client-address.ts";
import { answerClientError, enqueueErrorSchema, errorSchema, notFound, sendError } from "./error-responses.ts";
import { refuseOtherMethods } from "./hooks/allowed-methods.ts";
import { authenticate, callerFinder } from "./hooks/authentication.ts";
import { acceptJsonOnly } from "./hooks/json-bodies.ts";
import { refuseOddHeaders } from "./hooks/odd-headers.ts";
import { refuseForeignPages } from "./hooks/origin.ts";
import { refuseUnknown } from "./hooks/query-strings.ts";
import { refuseReadOnlyKeys } from "./hooks/read-only.ts";
import { buildSerializer } from "./hooks/serialization.ts";
import { boundSlowBodies, whenSent } from "./hooks/slow-bodies.ts";
import { compileValidator } from "./hooks/validation.ts";
import type { HttpServer } from "./http-types.ts";
import { Listener } from "./listener.ts";
import { auditRoutes } from "./routes/audit-routes.ts";
import { batchRoutes } from "./routes/batch-routes.ts";
import { bedrockCountRoutes } from "./routes/bedrock-count-routes.ts";
import { bedrockRoutes } from "./routes/bedrock-routes.ts";
import { chatRoutes } from "./routes/chat-routes.ts";
import { configRoutes } from "./routes/config-routes.ts";
import { deploymentRoutes } from "./routes/deployment-routes.ts";
import { collectDocumentation, documentationRoutes } from "./routes/documentation-routes.ts";
import { embeddingsRoutes } from "./routes/embeddings-routes.ts";
import { enqueueRoutes } from "./routes/enqueue-routes.ts";
import { fileRoutes } from "./routes/file-routes.ts";
import { healthRoutes } from "./routes/health-routes.ts";
import { historyRoutes } from "./routes/history-routes.ts";
import { jobChangeRoutes } from "./routes/job-change-routes.ts";
import { jobEventRoutes } from "./routes/job-event-routes.ts";
import { jobFilterRoutes } from "./routes/job-filter-routes.ts";
import { jobRequestRoutes } from "./routes/job-request-routes.ts";
import { jobRoutes } from "./routes/job-routes.ts";
import { keyRoutes } from "./routes/key-routes.ts";
import { messagesRoutes } from "./routes/messages-routes.ts";
import { metricsRoutes, type Scrape } from "./routes/metrics-routes.ts";
import { modelRoutes } from "./routes/model-routes.ts";
import { pauseRoutes } from "./routes/pause-routes.ts";
import { quotaAdviceRoutes } from "./routes/quota-advice-routes.ts";
import { quotaRoutes } from "./routes/quota-routes.ts";
import { responseRoutes } from "./routes/responses-routes.ts";
import { retentionRoutes } from "./routes/retention-routes.ts";
import { statsRoutes } from "./routes/stats-routes.ts";
import { statusRoutes } from "./routes/status-routes.ts";
import { usageRoutes } from "./routes/usage-routes.ts";
import { webhookRoutes } from "./routes/webhook-routes.ts";
import { callerOfPage, dashboardRoutes } from "./ui/dashboard-routes.ts";
import { DashboardPage } from "./ui/page.ts";
import { routePageCall } from "./ui/page-calls.ts";
import { sendPageOrError } from "./ui/page-routes.ts";

/** Maximum time for a request's headers, and for a whole file upload, in milliseconds. Node checks every 30 s. */
const headersTimeoutMs = 60_000;
const uploadTimeoutMs = 3_600_000;
/** Time that a connection without requests stays open, in milliseconds. Longer than the 60 s of most proxies. */
const idleTimeoutMs = 72_000;

declare module "fastify" {
  interface FastifyContextConfig {
    /**
     * Places in the body whose numbers stay exact although JavaScript cannot represent them. See
     * jobs/submit/exact-json.ts. Default: none.
     */
    keptAsText?: readonly string[];
    /** Places in the body whose text is kept in any case. Default: none. */
    keptVerbatim?: readonly string[];
  }
}

export interface HttpContext extends JobsContext {
  keys: KeyRegistry;
  /** Tracks the callers that wait for an answer. */
  callers: WaitingCallers;
  pauses: PauseWatch;
  /**
   * Reloads the configuration. Absent if that is impossible. Rejects with SluiceError `config_invalid`, `unavailable`.
   */
  reload?: (caller: Caller) => Promise<ReloadReport>;
  /** Returns the metrics. Absent if they are not served here. */
  scrape?: Scrape;
}

export interface HttpOptions {
  /**
   * Interval of comments in a silent event stream, in milliseconds, so that proxies keep the connection. Default:
   * 10,000.
   */
  keepAliveMs?: number;
}

/**
 * Builds a server that is ready to `listen` or `inject`. Closing it answers waiting requests with the current state of
 * their jobs.
 */
export function createHttpServer(context: HttpContext, { keepAliveMs = 10_000 }: HttpOptions = {}): HttpServer {
  const { settings, log, keys } = context;
  const page = settings.dashboard ? new DashboardPage(settings.publicUrl) : undefined;
  const findCaller = callerFinder(keys, (request) => callerOfPage(context, request));
  const watchCaller = callerWatch(keys, findCaller);
  const listener = new Listener({ headersTimeoutMs, requestTimeoutMs: uploadTimeoutMs, idleTimeoutMs });
  const app = Fastify({
    loggerInstance: log as FastifyBaseLogger,
    // Logging every request would cost more than the request itself. Server errors are logged where they are answered.
    logController: new LogController({ disableRequestLogging: true }),
    // For the same reason, requests have no logger of their own; log entries carry the request's id.
    childLoggerFactory: (logger) => logger,
    genReqId: requestIds(),
    // Decides request.ip. Sluice never reads request.host or request.protocol, which follow it too.
    trustProxy: trustIn(settings.trustedProxies),
    bodyLimit: settings.limits.maxRequestBytes,
    serverFactory: (handler) => listener.create(handler),
    // During a close, requests on open connections get normal responses with Connection: close.
    return503OnClosing: false,
    // Longer than any path that Node accepts, so that an overlong id gets the error of a wrong id.
    routerOptions: { maxParamLength: 65_536 },
    frameworkErrors: sendPageOrError(page),
    clientErrorHandler: answerClientError,
    schemaErrorFormatter: validationError,
    ...(page && { rewriteUrl: routePageCall }),
    schemaController: { compilersFactory: { buildSerializer } },
  }).withTypeProvider<TypeBoxTypeProvider>();

  app.setValidatorCompiler(compileValidator);
  app.setErrorHandler((error, request, reply) => whenSent(request.raw, () => sendError(error, request, reply)));
  app.setNotFoundHandler((request, reply) => sendError(notFound(request), request, reply));
  app.decorateRequest("caller");
  app.addHook("onRequest", refuseOddHeaders);
  app.addHook("onRequest", authenticate(keys, findCaller));
  app.addHook("onRequest", refuseReadOnlyKeys);
  app.addHook("onRequest", refuseForeignPages(settings.host, keys));
  boundSlowBodies(app);
  acceptJsonOnly(app);
  listener.attach(app, settings.host);
  for (const schema of [
    errorSchema,
    enqueueErrorSchema,
    openAiErrorSchema,
    bedrockErrorSchema,
    anthropicErrorSchema,
    jobSchema,
    jobSummarySchema,
    jobRequestSchema,
    dryRunSchema,
    fileSchema,
    batchSchema,
    batchDryRunSchema,
    keySchema,
    auditEntrySchema,
    deliverySchema,
  ])
    app.addSchema(schema);

  const rooms = new QuotaRooms(context);
  collectDocumentation(app);
  app.register(async (routes: HttpServer) => {
    refuseUnknown(routes);
    refuseOtherMethods(routes, () => {
      enqueueRoutes(routes, context);
      statusRoutes(routes, context);
      jobRoutes(routes, context);
      jobRequestRoutes(routes, context);
      jobFilterRoutes(routes, context);
      jobChangeRoutes(routes, context);
      jobEventRoutes(routes, context, watchCaller, keepAliveMs);
      chatRoutes(routes, context, keepAliveMs, rooms);
      responseRoutes(routes, context, keepAliveMs, rooms);
      embeddingsRoutes(routes, context, rooms);
      bedrockRoutes(routes, context, keepAliveMs);
      bedrockCountRoutes(routes, context);
      messagesRoutes(routes, context, keepAliveMs, rooms);
      modelRoutes(routes, context);
      fileRoutes(routes, context);
      batchRoutes(routes, context);
      deploymentRoutes(routes, context);
      quotaRoutes(routes, context);
      pauseRoutes(routes, context);
      if (context.reload) configRoutes(routes, context.reload);
      statsRoutes(routes, context);
      retentionRoutes(routes, context);
      usageRoutes(routes, context);
      historyRoutes(routes, context);
      quotaAdviceRoutes(routes, context);
      keyRoutes(routes, context, keys);
      auditRoutes(routes, context);
      webhookRoutes(routes, context);
      healthRoutes(routes, context);
      if (context.scrape) metricsRoutes(routes, context.scrape, { ...context, listensOn: settings.host });
      documentationRoutes(routes, settings);
      if (page) dashboardRoutes(routes, context, page, watchCaller, keepAliveMs);
    });
  });
  return app;
}

/** Returns a generator of request ids that are unique across restarts, so that ids in old logs are never reused. */
function requestIds(): () => string {
  const start = randomBytes(4).toString("hex");
  let n = 0;
  return () => `${start}-${(++n).toString(36)}`;
}
