// Protects a service without API keys from web pages, which could otherwise submit jobs or read answers from a user's
// browser. A form or a POST without a body carries the page's Origin. If a page points its own host name at 127.0.0.1,
// the browser sees one origin, but the Host header reveals the name. Bodies must be JSON, which a page cannot send to
// another site without a preflight, and no response ever permits that.
import { isIP } from "node:net";
import type { FastifyRequest, onRequestHookHandler } from "fastify";
import { quote, SluiceError } from "../../domain/errors.ts";
import { isLoopback } from "../../domain/networks.ts";
import { isSameOrigin, parseAuthority } from "./authority.ts";

/**
 * Refuses requests that web pages of other sites make.
 * @param listensOn the configured host; the Host header is checked only if it is a loopback address, because only the
 *   operator knows the names of a service on the network
 * @param keys skips the check once a key is required
 */
export function refuseForeignPages(listensOn: string, keys: { required: boolean }): onRequestHookHandler {
  const checkHost = isLoopback(listensOn);
  return (request, _reply, done) => {
    // A page has no key, and a caller with a key may call from any page.
    if (keys.required) return done();
    const { host: text, origin } = request.headers;
    const host = text === undefined ? undefined : parseAuthority(text);
    if (checkHost && text !== undefined && !leadsHere(host?.host)) {
      return done(refused(`Host ${quote(text)} is not allowed. Use localhost or an IP address.`, "Host"));
    }
    if (origin !== undefined && !(host && isSameOrigin(origin, host))) {
      return done(refused(`Web pages of ${quote(origin)} may not call the service.`, "Origin"));
    }
    if (origin === undefined && comesFromElsewhere(request)) {
      return done(refused("Web pages of other sites may link to the service, but may not call it.", "Sec-Fetch-Site"));
    }
    done();
  };
}

/** Returns whether the host is one that no other site can point at this machine. */
function leadsHere(host: string | undefined): boolean {
  return host !== undefined && (host === "localhost" || host.endsWith(".localhost") || isIP(host) !== 0);
}

/**
 * Returns whether a request without an Origin comes from another site, such as for an image, a script or a frame. It
 * allows links that a person follows. A page on another port of this machine counts as `same-site`.
 */
function comesFromElsewhere({ method, headers }: FastifyRequest): boolean {
  const site = headers["sec-fetch-site"];
  if (site === undefined || site === "same-origin" || site === "none") return false;
  const isLink = headers["sec-fetch-mode"] === "navigate" && headers["sec-fetch-dest"] === "document";
  return !(isLink && (method === "GET" || method === "HEAD"));
}

function refused(message: string, field: string): SluiceError {
  return new SluiceError("cross_origin", message, { field });
}
