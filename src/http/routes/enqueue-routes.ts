// Serves POST /enqueue, the short form of submitting a job. Old clients rely on the exact form of its response.
import Type from "typebox";
import { promptBodyBytes } from "../../config/settings.ts";
import type { JobsContext } from "../../jobs/jobs-context.ts";
import { dryRun } from "../../jobs/submit/dry-run.ts";
import { submitOnce } from "../../jobs/submit/submit.ts";
import { asksDryRun, dryRunQuery, dryRunResource, sendDryRun } from "../../wire/dry-run-resource.ts";
import { enqueueBody, submitErrors, submitInputOf } from "../../wire/job-request.ts";
import { errorResponses } from "../error-responses.ts";
import type { HttpServer } from "../http-types.ts";
import { onceOf } from "../idempotency-header.ts";
import { submitHeaders, traceOf } from "../trace-headers.ts";
import { answersOf } from "./documentation-routes.ts";

const accepted = Type.Object(
  { success: Type.Literal(true), job_id: Type.String({ format: "uuid" }), message: Type.String() },
  { description: "The prompt is stored durably and will run." },
);

export function enqueueRoutes(app: HttpServer, context: JobsContext): void {
  app.post(
    "/enqueue",
    {
      bodyLimit: promptBodyBytes(context.settings.limits),
      config: {
        documented: answersOf("The job's id, or the estimate of a dry run.", [accepted, Type.Ref("DryRun#")]),
      },
      schema: {
        tags: ["jobs"],
        operationId: "enqueue",
        summary: "Submit a prompt",
        description: "With `dry_run` nothing is stored, and the call returns DryRun; see createJob.",
        querystring: dryRunQuery,
        headers: submitHeaders,
        body: enqueueBody(context.settings),
        response: { 200: accepted, ...errorResponses(submitErrors, "EnqueueError") },
      },
    },
    async (request, reply) => {
      const { body, caller } = request;
      if (asksDryRun(request.query, body.dry_run)) {
        return sendDryRun(
          reply,
          dryRunResource(await dryRun(context, submitInputOf(body), caller), context.clock.wall()),
        );
      }
      const input = { ...submitInputOf(body), ...traceOf(request) };
      const job = await submitOnce(context, input, caller, onceOf(request, "enqueue"), { dialect: "enqueue" });
      return { success: true as const, job_id: job.id, message: "Prompt added to queue." };
    },
  );
}
