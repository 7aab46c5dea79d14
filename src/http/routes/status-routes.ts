// Serves GET /status/{job_id}: a job's status, or its answer.
import Type from "typebox";
import type { JobsContext } from "../../jobs/jobs-context.ts";
import { requireJob, viewOf } from "../../jobs/read/view.ts";
import { jobParams, jobResource } from "../../wire/job-resource.ts";
import { eraseOnceRead } from "../erase-once-read.ts";
import { errorResponses } from "../error-responses.ts";
import type { HttpServer } from "../http-types.ts";

export function statusRoutes(app: HttpServer, context: JobsContext): void {
  app.get(
    "/status/:job_id",
    {
      schema: {
        tags: ["jobs"],
        operationId: "getStatus",
        summary: "Get a job's status, or its answer",
        params: jobParams,
        response: {
          200: Type.Ref("Job#"),
          ...errorResponses(["invalid_request", "job_not_found", "unavailable"]),
        },
      },
    },
    async ({ params, caller }, reply) => {
      const record = await requireJob(context, params.job_id.toLowerCase(), caller);
      eraseOnceRead(context, reply, caller, record);
      return jobResource(await viewOf(context, record), context.clock.wall());
    },
  );
}
