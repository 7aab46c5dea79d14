// Keeps web pages out. While there are no API keys, any page that a person on this machine opens could otherwise submit
// jobs or read answers: by a form or a body-less POST to it (the Origin header tells), or by a host name of its own that
// is made to point at 127.0.0.1 (the Host header tells; the browser then sees one origin). Bodies must be JSON, which a
// page cannot send elsewhere without asking first, and no answer ever allows it to.
import { isIP } from "node:net";
import type { onRequestHookHandler } from "fastify";
import { SluiceError } from "../domain/errors.ts";
import { isLoopback } from "../domain/loopback.ts";
import { quote } from "../jobs/quote.ts";

/**
 * @param listensOn the configured host. The Host header is checked only if that is this machine alone: a service that
 *   listens on the network is called by names that only its operator knows.
 * @param keys once a key is needed, nothing else is
 */
export function refuseForeignPages(listensOn: string, keys: { required: boolean }): onRequestHookHandler {
  const checkHost = isLoopback(listensOn);
  return (request, _reply, done) => {
    // A page has no key, and whoever has one may call from where he likes.
    if (keys.required) return done();
    const { host = "", origin } = request.headers;
    const name = hostnameOf(host);
    if (checkHost && host !== "" && !leadsHere(name)) {
      return done(new SluiceError("cross_origin", `The service is not called ${quote(host)}.`, { field: "Host" }));
    }
    if (origin !== undefined && hostnameOf(origin.replace(/^[a-z][a-z0-9+.-]*:\/\//i, "")) !== name) {
      return done(
        new SluiceError("cross_origin", `Pages of ${quote(origin)} may not call the service.`, { field: "Origin" }),
      );
    }
    done();
  };
}

/** A name that no stranger can have made point here. */
function leadsHere(hostname: string): boolean {
  return hostname === "localhost" || hostname.endsWith(".localhost") || isIP(hostname) !== 0;
}

/** Without the port and the brackets of IPv6. */
function hostnameOf(host: string): string {
  const name = host.startsWith("[") ? host.slice(1, host.indexOf("]")) : host.replace(/:\d*$/, "");
  return name.toLowerCase();
}
