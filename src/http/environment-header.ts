// Which environment a call of OpenAI's API is for: that API has none.
import type { FastifyRequest } from "fastify";
import Type from "typebox";
import type { Settings } from "../config/settings.ts";
import { environmentFor } from "../jobs/submit/policy.ts";

/** For the `headers` of a route's schema. */
export const environmentHeader = {
  "x-sluice-environment": Type.Optional(
    Type.String({
      description: "The environment. Default: the first configured one that the caller may use.",
    }),
  ),
};

/**
 * The one that the header names, else the first one of the configuration that the caller may use.
 * @throws SluiceError `unknown_environment`, `forbidden`
 */
export function environmentOf({ headers, caller }: Pick<FastifyRequest, "headers" | "caller">, settings: Settings) {
  const named = headers["x-sluice-environment"];
  const [first] = Object.keys(settings.environments).filter((name) => caller.environments?.includes(name) ?? true);
  return environmentFor(settings, caller, named === undefined ? first : String(named));
}
