// Authenticates the caller. As soon as one API key exists, every call requires one, except probes and documentation.
import type { FastifyRequest, onRequestAsyncHookHandler } from "fastify";
import type { Caller } from "../../jobs/caller.ts";
import type { KeyRegistry } from "../../jobs/keys/key-registry.ts";
import type { FindCaller } from "../caller-watch.ts";
import { clientAddress } from "../client-address.ts";
import { authorizationOf } from "./credentials.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** The authenticated caller. Set before any handler runs. */
    caller: Caller;
  }
  interface FastifyContextConfig {
    /** Whether the route also answers callers without a key. Default: false. */
    open?: boolean;
    /** Whether the route decides itself who may call it. Default: false. */
    checksCallers?: boolean;
  }
}

/** The caller of routes that need no key. It can read and change nothing. */
const openRouteCaller: Caller = { tenant: "", admin: false, environments: [] };

/**
 * Finds callers by the API key.
 * @param sessionCaller returns the caller of a request with a session, or undefined for every other request
 */
export function callerFinder(
  keys: KeyRegistry,
  sessionCaller: (request: FastifyRequest) => Promise<Caller | undefined>,
): FindCaller {
  return async (request) => {
    const authorization = authorizationOf(request);
    const signedIn = keys.required && authorization === undefined ? await sessionCaller(request) : undefined;
    return signedIn ?? keys.authenticate(authorization);
  };
}

/** Authenticates the callers of all routes but those that are open. */
export function authenticate(keys: KeyRegistry, findCaller: FindCaller): onRequestAsyncHookHandler {
  return async (request) => {
    const { open, checksCallers } = request.routeOptions.config;
    const isOpen = (open === true || checksCallers === true) && keys.required;
    const caller = isOpen ? openRouteCaller : await findCaller(request);
    request.caller = { ...caller, address: clientAddress(request) };
  };
}
