// Probes: /healthz says that the process answers, /readyz that it can take jobs in and run them.
import Type from "typebox";
import { SluiceError } from "../../domain/errors.ts";
import type { JobsContext } from "../../jobs/context.ts";
import { errorResponses } from "../errors.ts";
import type { HttpServer } from "../types.ts";

/** Less than what a probe usually waits. */
const checkWithinMs = 2_000;

export function healthRoutes(app: HttpServer, context: JobsContext): void {
  const ok = Type.Object({ status: Type.Literal("ok") });

  app.get(
    "/healthz",
    {
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
      schema: {
        tags: ["service"],
        operationId: "getReadiness",
        summary: "Whether jobs can be taken in and run",
        response: { 200: ok, ...errorResponses(["unavailable"]) },
      },
    },
    async () => {
      const reasons = (await Promise.all([storeProblem(context), schedulerProblem(context)])).filter(Boolean);
      if (reasons.length > 0) throw new SluiceError("unavailable", `Not ready: ${reasons.join("; ")}.`);
      return { status: "ok" as const };
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

async function schedulerProblem({ scheduler, log }: JobsContext): Promise<string | undefined> {
  try {
    const { open } = await inTime(scheduler.snapshot());
    return open ? undefined : "the queue is being rebuilt";
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
