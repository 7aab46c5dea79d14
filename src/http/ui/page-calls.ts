// Calls of the dashboard's page. The page reaches the API below /ui/api, and only there does Sluice accept its cookie.
// So the API proper stays free of cookies, and no other site can use one.
import type { IncomingMessage } from "node:http";
import type { FastifyRequest } from "fastify";
import { SluiceError } from "../../domain/errors.ts";
import { isSameOrigin, parseAuthority } from "../hooks/authority.ts";

const apiBelowPage = /^\/ui\/api(?=\/v1\/)/;
const pageCalls = new WeakSet<object>();

/** Routes /ui/api/v1/... to /v1/..., for Fastify's rewriteUrl, and remembers that the page made the call. */
export function routePageCall(request: IncomingMessage): string {
  const { url = "/" } = request;
  if (!url.startsWith("/ui/api/")) return url;
  pageCalls.add(request);
  return url.replace(apiBelowPage, "");
}

/** Returns whether a request came in below /ui/api. */
export function isPageCall(request: FastifyRequest): boolean {
  return pageCalls.has(request.raw);
}

/**
 * Refuses a call that another site's page could have made with the browser's cookie.
 * @throws SluiceError `cross_origin`
 */
export function requireSamePage({ method, headers }: FastifyRequest): void {
  const site = headers["sec-fetch-site"];
  if (site === "same-origin") return;
  const host = headers.host === undefined ? undefined : parseAuthority(headers.host);
  const { origin } = headers;
  const reads = method === "GET" || method === "HEAD";
  const isSame = origin === undefined ? reads && site === undefined : host !== undefined && isSameOrigin(origin, host);
  if (site === undefined && isSame) return;
  throw new SluiceError("cross_origin", "Only the dashboard's own page may use its session.", {
    field: site === undefined ? "Origin" : "Sec-Fetch-Site",
  });
}
