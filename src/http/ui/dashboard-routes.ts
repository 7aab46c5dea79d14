// The dashboard: its page, its sessions and its live data, as one set of routes.
import type { FastifyRequest } from "fastify";
import type { Caller } from "../../jobs/caller.ts";
import type { JobsContext } from "../../jobs/jobs-context.ts";
import type { KeyRegistry } from "../../jobs/keys/key-registry.ts";
import { sessionCaller } from "../../jobs/sessions/sessions.ts";
import type { WatchCaller } from "../caller-watch.ts";
import type { HttpServer } from "../http-types.ts";
import { liveRoutes } from "./live-routes.ts";
import type { DashboardPage } from "./page.ts";
import { isPageCall, requireSamePage } from "./page-calls.ts";
import { pageRoutes } from "./page-routes.ts";
import { sessionIdOf } from "./session-cookie.ts";
import { sessionRoutes } from "./session-routes.ts";

interface DashboardContext extends JobsContext {
  keys: KeyRegistry;
}

/**
 * Returns the caller of a page's call by its session. Returns undefined for every other call, and for a session that has
 * ended.
 * @throws SluiceError `cross_origin` if the page of another site made the call
 */
export async function callerOfPage(context: DashboardContext, request: FastifyRequest): Promise<Caller | undefined> {
  const id = isPageCall(request) ? sessionIdOf(request, context.settings.publicUrl) : undefined;
  if (id === undefined) return undefined;
  requireSamePage(request);
  return sessionCaller(context, id);
}

export function dashboardRoutes(
  app: HttpServer,
  context: DashboardContext,
  page: DashboardPage,
  watchCaller: WatchCaller,
  keepAliveMs: number,
): void {
  const callerOf = async (request: FastifyRequest) =>
    context.keys.required ? callerOfPage(context, request) : context.keys.authenticate(undefined);
  pageRoutes(app, page);
  sessionRoutes(app, context, callerOf);
  liveRoutes(app, context, watchCaller, keepAliveMs);
}
