// Serves GET /v1/jobs/{id}/request: what the caller asked for.

import Type from "typebox";
import { printJson } from "../../domain/json-text.ts";
import type { JobsContext } from "../../jobs/jobs-context.ts";
import { requireJob } from "../../jobs/read/view.ts";
import { jobParams } from "../../wire/job-resource.ts";
import { jobRequestResource } from "../../wire/request-resource.ts";
import { errorResponses } from "../error-responses.ts";
import type { HttpServer } from "../http-types.ts";

export function jobRequestRoutes(app: HttpServer, context: JobsContext): void {
  app.get(
    "/v1/jobs/:job_id/request",
    {
      // Keeps the numbers in schemas that JavaScript cannot represent.
      serializerCompiler: () => printJson,
      schema: {
        tags: ["jobs"],
        operationId: "getJobRequest",
        summary: "Get the request of a job",
        description:
          "Returns the prompt, the tools and the parameters, in the form that `POST /v1/jobs` takes. Defaults are filled in. Once the texts are erased, `erased` is true and `messages` is empty.",
        params: jobParams,
        response: {
          200: Type.Ref("JobRequest#"),
          ...errorResponses(["invalid_request", "job_not_found", "unavailable"]),
        },
      },
    },
    async ({ params, caller }) =>
      jobRequestResource((await requireJob(context, params.job_id.toLowerCase(), caller, "all")).job),
  );
}
