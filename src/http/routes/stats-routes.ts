// Serves GET /v1/stats: the number of jobs by state.
import Type from "typebox";
import { type JobState, jobStates, priorities } from "../../domain/job.ts";
import type { JobsContext } from "../../jobs/jobs-context.ts";
import { requireAdmin } from "../../jobs/submit/policy.ts";
import { errorResponses } from "../error-responses.ts";
import type { HttpServer } from "../http-types.ts";

const countsByState = Type.Object(
  Object.fromEntries(jobStates.map((state) => [state, Type.Integer()])) as Record<JobState, Type.TInteger>,
);

export function statsRoutes(app: HttpServer, { store, scheduler }: JobsContext): void {
  app.get(
    "/v1/stats",
    {
      schema: {
        tags: ["service"],
        operationId: "getStats",
        summary: "Get job counts and queue depths over all tenants",
        response: {
          200: Type.Object({
            jobs: Type.Record(Type.String(), countsByState, {
              description: "Number of stored jobs by environment and state.",
            }),
            queue: Type.Array(
              Type.Object({
                environment: Type.String(),
                priority: Type.Enum([...priorities]),
                ready: Type.Integer({ description: "Jobs that may start as soon as the quotas admit them." }),
                delayed: Type.Integer({ description: "Jobs that wait for their earliest start or a retry." }),
              }),
              { description: "Waiting jobs." },
            ),
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
      const [jobs, { depths, running, open, configVersion }] = await Promise.all([
        store.counts(),
        scheduler.snapshot(),
      ]);
      return { jobs, queue: depths, running, scheduler: { open, config_version: configVersion } };
    },
  );
}
