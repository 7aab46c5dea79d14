// Who asks: every call needs an API key once there is one, except for the probes and the documentation.
import type { onRequestAsyncHookHandler } from "fastify";
import type { Caller } from "../../jobs/caller.ts";
import type { KeyRegistry } from "../../jobs/keys/key-registry.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** Who asks; set before any handler runs. */
    caller: Caller;
  }
  interface FastifyContextConfig {
    /** Answers without a key as well. */
    open?: boolean;
  }
}

/** Of calls that need no key: sees nothing and changes nothing. */
const nobody: Caller = { tenant: "", admin: false, environments: [] };

export function authenticate(keys: KeyRegistry): onRequestAsyncHookHandler {
  return async (request) => {
    const isOpen = request.routeOptions.config.open === true && keys.required;
    request.caller = isOpen ? nobody : await keys.authenticate(request.headers.authorization);
  };
}
