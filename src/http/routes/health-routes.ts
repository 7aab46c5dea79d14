// Serves the probes: /healthz checks that the process answers, /readyz that it can accept and run jobs.
import Type from "typebox";
import { SluiceError } from "../../domain/errors.ts";
import type { JobsContext } from "../../jobs/jobs-context.ts";
import { readinessOf } from "../../jobs/read/readiness.ts";
import { errorResponses } from "../error-responses.ts";
import type { HttpServer } from "../http-types.ts";

export function healthRoutes(app: HttpServer, context: JobsContext): void {
  const ok = Type.Object({ status: Type.Literal("ok") });
  const ready = Type.Object({
    status: Type.Union([Type.Literal("ok"), Type.Literal("degraded")]),
    reasons: Type.Array(Type.String(), { description: "Why jobs are accepted but do not run as they should." }),
  });

  app.get(
    "/healthz",
    {
      config: { open: true },
      schema: {
        tags: ["service"],
        operationId: "getHealth",
        summary: "Check that the process is alive",
        response: { 200: ok, ...errorResponses([]) },
      },
    },
    async () => ({ status: "ok" as const }),
  );

  app.get(
    "/readyz",
    {
      config: { open: true },
      schema: {
        tags: ["service"],
        operationId: "getReadiness",
        summary: "Check that the service accepts jobs (else 503) and runs them (else degraded)",
        response: { 200: ready, ...errorResponses(["unavailable"]) },
      },
    },
    async () => {
      const { unready, degraded } = await readinessOf(context);
      if (unready.length > 0) throw new SluiceError("unavailable", `Not ready: ${unready.join("; ")}.`);
      return { status: degraded.length > 0 ? ("degraded" as const) : ("ok" as const), reasons: degraded };
    },
  );
}
