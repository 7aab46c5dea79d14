// Serves PATCH and DELETE of /v1/jobs/{job_id}.
import Type from "typebox";
import type { Settings } from "../../config/settings.ts";
import { SluiceError } from "../../domain/errors.ts";
import { change, removeJob } from "../../jobs/control/change.ts";
import type { JobsContext } from "../../jobs/jobs-context.ts";
import { viewOf } from "../../jobs/read/view.ts";
import { jobParams, jobResource } from "../../wire/job-resource.ts";
import { notBeforeForms, notBeforeOf, priority } from "../../wire/request-fields.ts";
import { errorResponses } from "../error-responses.ts";
import type { HttpServer } from "../http-types.ts";

function changeBody(settings: Settings) {
  return Type.Object(
    {
      priority: Type.Optional(priority("The new priority.")),
      not_before: Type.Optional(
        Type.Union([...notBeforeForms(settings), Type.Null()], {
          description: "Earliest start: a time, or a number of seconds from now. Null lets the job start at once.",
        }),
      ),
    },
    { additionalProperties: false, examples: [{ priority: "interactive" }] },
  );
}

export function jobChangeRoutes(app: HttpServer, context: JobsContext): void {
  const tags = ["jobs"];

  app.patch(
    "/v1/jobs/:job_id",
    {
      schema: {
        tags,
        operationId: "changeJob",
        summary: "Change the priority or the earliest start of a waiting job",
        params: jobParams,
        body: changeBody(context.settings),
        response: {
          200: Type.Ref("Job#"),
          ...errorResponses([
            "invalid_request",
            "invalid_json",
            "forbidden",
            "job_not_found",
            "conflict",
            "too_large",
            "unsupported_media_type",
            "unavailable",
            "fate_unknown",
            "storage_full",
          ]),
        },
      },
    },
    async ({ params, body: { priority, not_before }, caller }) => {
      if (priority === undefined && not_before === undefined) {
        throw new SluiceError("invalid_request", "priority or not_before is required.", { field: "priority" });
      }
      const changes = {
        ...(priority !== undefined && { priority }),
        ...(not_before !== undefined && { notBefore: not_before === null ? null : notBeforeOf(not_before) }),
      };
      const record = await change(context, params.job_id.toLowerCase(), changes, caller);
      return jobResource(await viewOf(context, record), context.clock.wall());
    },
  );

  app.delete(
    "/v1/jobs/:job_id",
    {
      schema: {
        tags,
        operationId: "deleteJob",
        summary: "Delete an ended job with its prompt and answer permanently",
        description: "Keeps its calls without texts, because quotas and usage count them.",
        params: jobParams,
        response: {
          200: Type.Object({ job_id: Type.String(), deleted: Type.Literal(true) }),
          ...errorResponses(["invalid_request", "job_not_found", "conflict", "unavailable", "fate_unknown"]),
        },
      },
    },
    async ({ params, caller }) => {
      const jobId = params.job_id.toLowerCase();
      await removeJob(context, jobId, caller);
      return { job_id: jobId, deleted: true as const };
    },
  );
}
