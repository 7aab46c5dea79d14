// Serves POST /v1/pause, POST /v1/resume and GET /v1/pauses, which stop new calls of a model, a deployment or a tenant.
import Type, { type Static } from "typebox";
import { SluiceError } from "../../domain/errors.ts";
import type { Caller } from "../../jobs/caller.ts";
import { listPauses, pause, resume } from "../../jobs/control/pauses.ts";
import type { JobsContext } from "../../jobs/jobs-context.ts";
import type { Pause } from "../../jobs/pause.ts";
import type { PauseTarget } from "../../scheduler/scheduler.ts";
import { isoOrNull, nullable, time } from "../../wire/resource-types.ts";
import { controlErrors, errorResponses } from "../error-responses.ts";
import type { HttpServer } from "../http-types.ts";

const name = (description: string) => Type.Optional(Type.String({ minLength: 1, maxLength: 128, description }));

const body = Type.Object(
  {
    model: name("The alias of a model. Pauses all of its deployments."),
    deployment: name("The id of a deployment. GET /v1/deployments lists deployments."),
    tenant: name("The tenant whose jobs are not started."),
    environment: name("Allowed with tenant: pauses only its jobs in this environment."),
  },
  { additionalProperties: false, examples: [{ model: "llama3-3-70b" }] },
);

const pauseBody = Type.Object(
  {
    ...body.properties,
    reason: Type.Optional(
      Type.String({ minLength: 1, maxLength: 500, description: "The reason. Callers whose jobs wait can read it." }),
    ),
  },
  { additionalProperties: false, examples: [{ model: "llama3-3-70b", reason: "The account is being moved." }] },
);

const kinds = ["model", "deployment", "tenant"] as const;

const resource = Type.Object({
  model: nullable(Type.String()),
  deployment: nullable(Type.String()),
  tenant: nullable(Type.String()),
  environment: nullable(Type.String()),
  paused_at: nullable(time("When it was paused. Null if it is not paused.")),
  reason: nullable(Type.String({ description: "The reason given when it was paused." })),
  paused_by: nullable(
    Type.String({ description: "The id of the API key that paused it. Visible only to admin keys." }),
  ),
});

export function pauseRoutes(app: HttpServer, context: JobsContext): void {
  const tags = ["service"];
  const errors = errorResponses(["not_found", ...controlErrors]);

  app.post(
    "/v1/pause",
    {
      schema: {
        tags,
        operationId: "pause",
        summary: "Pause a model, a deployment or a tenant",
        description:
          "Starts no new calls. Running calls continue, and accepted jobs wait. The pause takes effect at once in this process and within seconds in others, and survives restarts until resumed. Requires an admin key, except for the key's own tenant.",
        body: pauseBody,
        response: { 200: resource, ...errors },
      },
    },
    async ({ body, caller }) => {
      const target = targetOf(body);
      const paused = await pause(context, target, caller, body.reason);
      context.pauses?.changed();
      context.log.info({ ...target, reason: paused.reason, keyId: caller.keyId }, "paused calls");
      return resourceOf(target, caller, paused);
    },
  );

  app.post(
    "/v1/resume",
    {
      schema: {
        tags,
        operationId: "resume",
        summary: "Resume a model, a deployment or a tenant",
        description: "Resuming what is not paused changes nothing and is not an error.",
        body,
        response: { 200: resource, ...errors },
      },
    },
    async ({ body, caller }) => {
      const target = targetOf(body);
      await resume(context, target, caller);
      context.pauses?.changed();
      context.log.info({ ...target, keyId: caller.keyId }, "resumed calls");
      return resourceOf(target, caller);
    },
  );

  app.get(
    "/v1/pauses",
    {
      schema: {
        tags,
        operationId: "listPauses",
        summary: "List pauses",
        response: { 200: Type.Object({ data: Type.Array(resource) }), ...errorResponses(["unavailable"]) },
      },
    },
    async ({ caller }) => ({
      data: (await listPauses(context, caller)).map((pause) => resourceOf(pause.target, caller, pause)),
    }),
  );
}

function resourceOf(target: PauseTarget, { admin }: Caller, pause?: Pause) {
  const nothing = { model: null, deployment: null, tenant: null, environment: null };
  const { at, reason = null, keyId = null } = pause ?? {};
  return { ...nothing, ...target, paused_at: isoOrNull(at), reason, paused_by: admin ? keyId : null };
}

/**
 * Returns what the body names.
 * @throws SluiceError `invalid_request` unless the body names exactly one target
 */
function targetOf({ model, deployment, tenant, environment }: Static<typeof body>): PauseTarget {
  const named = [model, deployment, tenant].filter((name) => name !== undefined);
  if (named.length !== 1) {
    throw new SluiceError("invalid_request", `Exactly one of ${kinds.join(", ")} is required; got ${named.length}.`, {
      field: "model",
    });
  }
  if (tenant !== undefined) return environment === undefined ? { tenant } : { tenant, environment };
  if (environment !== undefined) {
    throw new SluiceError("invalid_request", "environment is allowed only with tenant.", { field: "environment" });
  }
  return model === undefined ? { deployment: deployment! } : { model };
}
