// Serves GET /v1/stats: the number of jobs by state, and what waits.
import Type from "typebox";
import { type JobState, jobStates, priorities } from "../../domain/job.ts";
import type { JobsContext } from "../../jobs/jobs-context.ts";
import { requireAdmin } from "../../jobs/submit/policy.ts";
import type { SchedulerSnapshot } from "../../scheduler/scheduler.ts";
import { waitingOn, waitingOnResource } from "../../wire/job-resource.ts";
import { isoOrNull, nullable, time } from "../../wire/resource-types.ts";
import { errorResponses } from "../error-responses.ts";
import type { HttpServer } from "../http-types.ts";

const countsByState = Type.Object(
  Object.fromEntries(jobStates.map((state) => [state, Type.Integer()])) as Record<JobState, Type.TInteger>,
);

const waitingRow = Type.Object({
  environment: Type.String(),
  priority: Type.Enum([...priorities]),
  model: Type.String({ description: "The requested alias." }),
  ready: Type.Integer({ description: "Jobs that may start as soon as the quotas admit them." }),
  delayed: Type.Integer({ description: "Jobs that wait for their earliest start or a retry." }),
  oldest_at: nullable(
    time("When the oldest ready job was submitted. Jobs of paused tenants count only if all tenants are paused."),
  ),
  waiting_on: nullable(Type.Object(waitingOn.properties, { description: "What that job waits for." })),
  starts_at: nullable(time("When that job should start if it is next. Null if that cannot be estimated.")),
});

const modelBacklog = Type.Object({
  model: Type.String(),
  empty_at: nullable(
    time("When all jobs that are ready now are expected to have started. Null if that cannot be estimated."),
  ),
});

/** Returns the counts of stored, waiting and running jobs over all tenants. */
export async function statsResource(
  { store, clock }: Pick<JobsContext, "store" | "clock">,
  snapshot: SchedulerSnapshot,
) {
  const { waiting, backlogs, running, open, configVersion } = snapshot;
  const jobs = await store.counts();
  const now = clock.wall();
  const at = (ms: number | undefined) => isoOrNull(ms === undefined ? undefined : now + ms);
  return {
    jobs,
    queue: waiting.map(({ environment, priority, model, ready, delayed, oldestOrder, waitingOn: on, startsInMs }) => ({
      ...{ environment, priority, model, ready, delayed },
      oldest_at: isoOrNull(oldestOrder),
      waiting_on: on ? waitingOnResource(on) : null,
      starts_at: at(startsInMs),
    })),
    models: backlogs.map(({ model, emptyInMs }) => ({
      model,
      empty_at: at(emptyInMs),
    })),
    next_ready_at: at(snapshot.nextReadyInMs),
    running,
    scheduler: { open, config_version: configVersion },
  };
}

export function statsRoutes(app: HttpServer, context: JobsContext): void {
  app.get(
    "/v1/stats",
    {
      schema: {
        tags: ["service"],
        operationId: "getStats",
        summary: "Get job counts and what waits, over all tenants",
        response: {
          200: Type.Object({
            jobs: Type.Record(Type.String(), countsByState, {
              description: "Number of stored jobs by environment and state.",
            }),
            queue: Type.Array(waitingRow, { description: "Waiting jobs by environment, priority and model." }),
            models: Type.Array(modelBacklog, { description: "Models that jobs are ready for." }),
            next_ready_at: nullable(time("When the first delayed job may start. Null if none is delayed.")),
            running: Type.Integer({ description: "Jobs that a worker is running." }),
            scheduler: Type.Object({
              open: Type.Boolean({ description: "False while the queue is rebuilt." }),
              config_version: Type.String(),
            }),
          }),
          ...errorResponses(["forbidden", "unavailable"]),
        },
      },
    },
    async ({ caller }) => {
      requireAdmin(caller);
      return statsResource(context, await context.scheduler.snapshot());
    },
  );
}
