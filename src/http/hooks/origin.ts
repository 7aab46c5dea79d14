// Keeps web pages out. While there are no API keys, any page that a person on this machine opens could otherwise submit
// jobs or read answers. A form or a body-less POST to the service carries the page's Origin. A host name of the page's
// own that is made to point at 127.0.0.1 shows in the Host header; the browser then sees one origin. Bodies must be
// JSON, which a page cannot send elsewhere without asking first, and no answer ever allows it to.
import { isIP } from "node:net";
import type { FastifyRequest, onRequestHookHandler } from "fastify";
import { quote, SluiceError } from "../../domain/errors.ts";
import { isLoopback } from "../../domain/networks.ts";
import { isSameOrigin, parseAuthority } from "./authority.ts";

/**
 * @param listensOn the configured host. The Host header is checked only if that is this machine alone: a service that
 *   listens on the network is called by names that only its operator knows.
 * @param keys once a key is needed, nothing else is
 */
export function refuseForeignPages(listensOn: string, keys: { required: boolean }): onRequestHookHandler {
  const checkHost = isLoopback(listensOn);
  return (request, _reply, done) => {
    // A page has no key, and a caller that has one may call from any page.
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

/** Whether no stranger can have made this name point here. */
function leadsHere(host: string | undefined): boolean {
  return host !== undefined && (host === "localhost" || host.endsWith(".localhost") || isIP(host) !== 0);
}

/**
 * What a browser says of a request that carries no Origin: an image, a script, a frame, or a link. A link that a person
 * follows is allowed. A page on another port of this machine counts as `same-site`.
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
