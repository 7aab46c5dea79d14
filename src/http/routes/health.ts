// Probes: /healthz says that the process answers, /readyz that it can take jobs in and run them.
import Type from "typebox";
import { schedulerConfigOf } from "../../config/scheduler-config.ts";
import { SluiceError } from "../../domain/errors.ts";
import type { JobsContext } from "../../jobs/context.ts";
import { errorResponses } from "../errors.ts";
import type { HttpServer } from "../types.ts";

/** Less than what a probe usually waits. */
const checkWithinMs = 2_000;

export function healthRoutes(app: HttpServer, context: JobsContext): void {
  const ok = Type.Object({ status: Type.Literal("ok") });
  const ready = Type.Object({
    status: Type.Union([Type.Literal("ok"), Type.Literal("degraded")]),
    reasons: Type.Array(Type.String(), { description: "Why jobs are taken in, but not run as they should." }),
  });

  app.get(
    "/healthz",
    {
      config: { open: true },
      schema: {
        tags: ["service"],
        operationId: "getHealth",
        summary: "Whether the process is alive",
        response: { 200: ok },
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
        summary: "Whether jobs can be taken in (or 503), and whether they are run (or degraded)",
        response: { 200: ready, ...errorResponses(["unavailable"]) },
      },
    },
    async () => {
      const [store, scheduler] = await Promise.all([storeProblem(context), schedulerProblem(context)]);
      if (store) throw new SluiceError("unavailable", `Not ready: ${store}.`);
      // Without its queue the service still accepts: what it accepts is queued later.
      return scheduler ? { status: "degraded" as const, reasons: [scheduler] } : { status: "ok" as const, reasons: [] };
    },
  );
}

async function storeProblem({ store, log }: JobsContext): Promise<string | undefined> {
  try {
    await inTime(store.ping());
    return undefined;
  } catch (error) {
    log.warn({ err: error }, "the store is not ready");
    return `the store cannot be written to${error instanceof SluiceError ? ` (${error.code})` : ""}`;
  }
}

async function schedulerProblem({ settings, scheduler, log }: JobsContext): Promise<string | undefined> {
  try {
    const { open, configVersion } = await inTime(scheduler.snapshot());
    if (!open) return "the queue is being rebuilt";
    return configVersion === schedulerConfigOf(settings).version
      ? undefined
      : "the queue runs under the configuration of another process";
  } catch (error) {
    log.warn({ err: error }, "the scheduler is not ready");
    return "the scheduler does not answer";
  }
}

async function inTime<T>(check: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${checkWithinMs} ms`)), checkWithinMs);
  });
  try {
    return await Promise.race([check, late]);
  } finally {
    clearTimeout(timer);
  }
}
