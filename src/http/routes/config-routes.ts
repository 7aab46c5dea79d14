// Serves POST /v1/config/reload, which reloads the configuration file without a restart. The configuration decides what
// is called and paid for, so this requires an admin key or, if no keys exist, a call from this machine.
import type { FastifyRequest } from "fastify";
import Type from "typebox";
import type { ReloadReport } from "../../config/reloadable.ts";
import { SluiceError } from "../../domain/errors.ts";
import type { Caller } from "../../jobs/caller.ts";
import { requireAdmin } from "../../jobs/submit/policy.ts";
import { errorResponses } from "../error-responses.ts";
import type { HttpServer } from "../http-types.ts";

const line = "Each line has the form `key: old -> new`.";

export function configRoutes(app: HttpServer, reload: (caller: Caller) => Promise<ReloadReport>): void {
  app.post(
    "/v1/config/reload",
    {
      schema: {
        tags: ["service"],
        operationId: "reloadConfig",
        summary: "Reload the configuration",
        description:
          "Requires an admin key or, if no keys exist, a call from this machine. Quotas, weights, models, deployments and most limits change at once. " +
          "The response names what needs a restart. An invalid file changes nothing. Deployments that are out of service are " +
          "tried again at once. SIGHUP has the same effect.",
        response: {
          200: Type.Object({
            waiting_for_missing_models: Type.Array(
              Type.Object({
                model: Type.String(),
                jobs: Type.Integer({ description: "Number of jobs that wait for the model." }),
                fail_in_s: Type.Integer({
                  description: "Seconds until these jobs fail unless the model is configured again.",
                }),
              }),
              { description: "Models that no deployment serves any longer although jobs wait for them." },
            ),
            changed: Type.Array(Type.String(), { description: `Changes that are in effect now. ${line}` }),
            needs_restart: Type.Array(Type.String(), {
              description: `Changes that take effect at the next start. ${line}`,
            }),
          }),
          ...errorResponses(["forbidden", "config_invalid", "unavailable"]),
        },
      },
    },
    async (request) => {
      requireOperator(request);
      const { changed, needsRestart, missingModels } = await reload(request.caller);
      const waiting = missingModels.map(({ model, jobs, failInMs }) => ({
        model,
        jobs,
        fail_in_s: Math.ceil(failInMs / 1000),
      }));
      return { changed, needs_restart: needsRestart, waiting_for_missing_models: waiting };
    },
  );
}

/**
 * Requires the rights of an operator.
 * @throws SluiceError `forbidden`
 */
function requireOperator({ caller, socket, headers }: FastifyRequest): void {
  requireAdmin(caller);
  if (caller.keyId !== undefined) return;
  const address = socket.remoteAddress ?? "";
  const isLocal = address === "::1" || /^(::ffff:)?127\./.test(address);
  // A proxy on this machine that forwards for others sets these headers.
  const isForwarded = headers.forwarded !== undefined || headers["x-forwarded-for"] !== undefined;
  if (isLocal && !isForwarded) return;
  throw new SluiceError(
    "forbidden",
    "Without an admin key the configuration can be reloaded only from the machine that the service runs on.",
  );
}
