// Determines the environment of a call to OpenAI's API, which has no such field.
import type { FastifyRequest } from "fastify";
import Type from "typebox";
import type { Settings } from "../config/settings.ts";
import { environmentFor } from "../jobs/submit/policy.ts";

/** The header for the `headers` of a route's schema. */
export const environmentHeader = {
  "x-sluice-environment": Type.Optional(
    Type.String({
      description: "The environment. Default: the first configured one that the caller may use.",
    }),
  ),
};

/**
 * Returns the environment that the header names. Defaults to the first configured one that the caller may use.
 * @throws SluiceError `unknown_environment`, `forbidden`
 */
export function environmentOf({ headers, caller }: Pick<FastifyRequest, "headers" | "caller">, settings: Settings) {
  const named = headers["x-sluice-environment"];
  const [first] = Object.keys(settings.environments).filter((name) => caller.environments?.includes(name) ?? true);
  return environmentFor(settings, caller, named === undefined ? first : String(named));
}
