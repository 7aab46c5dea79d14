// Serves /ui/api/session: signs in to the dashboard, signs out, and tells the page what its caller may see.
import type { FastifyRequest } from "fastify";
import Type from "typebox";
import type { Settings } from "../../config/settings.ts";
import { version } from "../../config/version.ts";
import type { Clock } from "../../domain/clock.ts";
import { SluiceError } from "../../domain/errors.ts";
import { type Caller, visibleEnvironments } from "../../jobs/caller.ts";
import { endSession, longestMs, type SessionsContext, startSession } from "../../jobs/sessions/sessions.ts";
import { clientAddress } from "../client-address.ts";
import type { HttpServer } from "../http-types.ts";
import { requireSamePage } from "./page-calls.ts";
import { sessionIdOf, setSessionCookie } from "./session-cookie.ts";
import { SignInLimit } from "./sign-in-limit.ts";

export interface SessionRoutesContext extends SessionsContext {
  settings: Settings;
  clock: Clock;
}

const body = Type.Object({ key: Type.String({ minLength: 1, maxLength: 300 }) }, { additionalProperties: false });

/** @param callerOf returns the caller of a page's call, or undefined if the call has no session */
export function sessionRoutes(
  app: HttpServer,
  context: SessionRoutesContext,
  callerOf: (request: FastifyRequest) => Promise<Caller | undefined>,
): void {
  const { settings, clock } = context;
  const limit = new SignInLimit(clock);
  const options = { config: { open: true } };

  const resourceOf = (caller: Caller | undefined) => ({
    version,
    signed_in: caller !== undefined,
    sign_in_required: context.keys.required,
    tenant: caller?.tenant ?? null,
    key_id: caller?.keyId ?? null,
    admin: caller?.admin ?? false,
    read_only: caller?.readOnly ?? false,
    environments: caller ? visibleEnvironments(context, caller) : [],
    models: caller ? Object.keys(settings.models) : [],
    default_model: caller ? settings.defaultModel : null,
    simulator: settings.simulator,
  });

  app.get("/ui/api/session", { schema: { hide: true }, ...options }, async (request, reply) => {
    reply.header("cache-control", "no-store");
    return resourceOf(await callerOf(request));
  });

  app.post("/ui/api/session", { schema: { hide: true, body }, ...options }, async (request, reply) => {
    requireSamePage(request);
    try {
      const { id, caller } = await startSession(context, request.body.key);
      const before = sessionIdOf(request, settings.publicUrl);
      if (before !== undefined) await endSession(context, before);
      setSessionCookie(reply, settings.publicUrl, id, longestMs / 1000);
      reply.header("cache-control", "no-store");
      return resourceOf(caller);
    } catch (error) {
      if (error instanceof SluiceError && error.code === "unauthenticated") limit.fail(clientAddress(request));
      throw error;
    }
  });

  app.delete("/ui/api/session", { schema: { hide: true }, ...options }, async (request, reply) => {
    requireSamePage(request);
    const id = sessionIdOf(request, settings.publicUrl);
    if (id !== undefined) await endSession(context, id);
    setSessionCookie(reply, settings.publicUrl, undefined, 0);
    reply.header("cache-control", "no-store");
    return resourceOf(context.keys.required ? undefined : await callerOf(request));
  });
}
