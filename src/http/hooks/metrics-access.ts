// Decides who may read the metrics. On this machine every caller may, on other addresses a caller with an admin key. With
// SLUICE_METRICS_KEY, that key or an admin key is needed everywhere.
import { createHash, timingSafeEqual } from "node:crypto";
import type { FastifyRequest, onRequestAsyncHookHandler } from "fastify";
import { SluiceError } from "../../domain/errors.ts";
import { isLoopback } from "../../domain/networks.ts";
import type { KeyRegistry } from "../../jobs/keys/key-registry.ts";
import { requireAdmin } from "../../jobs/submit/policy.ts";
import { refuseForeignPages } from "./origin.ts";

export interface MetricsAccess {
  /** The address of the listener. */
  listensOn: string;
  settings: { metricsKey?: string | undefined; authentication: "keys" | "off" };
  keys: Pick<KeyRegistry, "required" | "authenticate">;
}

/** Refuses callers that may not read the metrics: SluiceError `unauthenticated`, `forbidden` or `cross_origin`. */
export function requireMetricsAccess(access: MetricsAccess): onRequestAsyncHookHandler {
  const { listensOn, settings, keys } = access;
  const { metricsKey } = settings;
  const refusePages = refuseForeignPages(listensOn, { required: false });
  return async function (request, reply) {
    const { authorization } = request.headers;
    if (metricsKey !== undefined && isKey(authorization, metricsKey)) return;
    if (metricsKey === undefined && isLoopback(listensOn) && !wasForwarded(request)) {
      return new Promise<void>((resolve, reject) =>
        refusePages.call(this, request, reply, (error) => (error ? reject(error) : resolve())),
      );
    }
    if (keys.required || (metricsKey === undefined && settings.authentication === "off")) {
      return requireAdmin(await keys.authenticate(authorization));
    }
    const advice = metricsKey === undefined ? "Set SLUICE_METRICS_KEY, and send it as" : "Send SLUICE_METRICS_KEY as";
    throw new SluiceError("unauthenticated", `The metrics require a key. ${advice} Authorization: Bearer KEY.`);
  };
}

/** Returns whether a proxy passed the request on. Then it may come from another machine. */
function wasForwarded({ headers }: FastifyRequest): boolean {
  return ["forwarded", "via", "x-forwarded-for", "x-real-ip"].some((name) => headers[name] !== undefined);
}

function isKey(authorization: string | undefined, key: string): boolean {
  const sent = /^bearer +(\S+) *$/i.exec(authorization?.slice(0, 300) ?? "")?.[1];
  return sent !== undefined && timingSafeEqual(digest(sent), digest(key));
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
