// Refuses what a read-only key may not do. This is the only place that enforces it, so it judges by the method: a call
// that is neither GET nor HEAD counts as a change, dry runs included. A route that answers GET with a secret says so in
// its config.
import type { onRequestHookHandler } from "fastify";
import { SluiceError } from "../../domain/errors.ts";

declare module "fastify" {
  interface FastifyContextConfig {
    /** Whether the response has a secret, which a read-only key may not read. Default: false. */
    secret?: boolean;
  }
}

const remedy = "Use a key that was created without read_only.";

/** Requires an authenticated request. */
export const refuseReadOnlyKeys: onRequestHookHandler = ({ caller, method, routeOptions }, _reply, done) => {
  if (!caller.readOnly) return done();
  if (method !== "GET" && method !== "HEAD") {
    return done(new SluiceError("forbidden", `The API key is read-only, so it may not send ${method}. ${remedy}`));
  }
  if (routeOptions.config.secret) {
    return done(new SluiceError("forbidden", `The API key is read-only, so it may not read secrets. ${remedy}`));
  }
  done();
};
