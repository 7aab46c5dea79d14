// Serves /v1/jobs, the full resource.
import type { FastifyReply, FastifyRequest } from "fastify";
import Type from "typebox";
import type { JobRecord } from "../../domain/job.ts";
import type { Caller } from "../../jobs/caller.ts";
import type { CallersContext } from "../../jobs/callers/waiting-callers.ts";
import { cancel } from "../../jobs/control/cancel.ts";
import { retry } from "../../jobs/control/retry.ts";
import { listJobs } from "../../jobs/read/list.ts";
import { requireJob, viewOf } from "../../jobs/read/view.ts";
import { waitForEnd } from "../../jobs/read/wait.ts";
import { dryRun } from "../../jobs/submit/dry-run.ts";
import { submitOnce } from "../../jobs/submit/submit.ts";
import { asksDryRun, dryRunQuery, dryRunResource, sendDryRun } from "../../wire/dry-run-resource.ts";
import { jobTexts } from "../../wire/job-content.ts";
import { jobBody, submitErrors, submitInputOf } from "../../wire/job-request.ts";
import { jobParams, jobResource, jobSummaryResource } from "../../wire/job-resource.ts";
import { nativeTexts } from "../../wire/native-resource.ts";
import { jobFilterFields, jobFilterOf } from "../../wire/request-fields.ts";
import { closingSignal, disconnectSignal } from "../disconnect.ts";
import { eraseOnceRead } from "../erase-once-read.ts";
import { errorResponses } from "../error-responses.ts";
import type { HttpServer } from "../http-types.ts";
import { onceOf } from "../idempotency-header.ts";
import { pageOf, pageQuery, pageSchema } from "../pages.ts";
import { submitHeaders, traceHeaders, traceOf } from "../trace-headers.ts";
import { answersOf } from "./documentation-routes.ts";

const defaultListLimit = 50;

const listQuery = Type.Object(
  {
    ...jobFilterFields,
    ...pageQuery({ of: "jobs", usual: defaultListLimit, max: 1000 }, 1000),
  },
  { additionalProperties: false },
);

const page = pageSchema(Type.Ref("JobSummary#"), "The jobs, newest first.");

export function jobRoutes(app: HttpServer, context: CallersContext): void {
  const { settings, clock } = context;
  const tags = ["jobs"];

  const closing = closingSignal(app);

  async function resourceOf(record: JobRecord) {
    return jobResource(await viewOf(context, record), clock.wall());
  }

  function readBy(caller: Caller, reply: FastifyReply, record: JobRecord) {
    eraseOnceRead(context, reply, caller, record);
    return resourceOf(record);
  }

  app.post(
    "/v1/jobs",
    {
      config: {
        keptAsText: jobTexts,
        keptVerbatim: nativeTexts,
        documented: answersOf("The job, or the estimate of a dry run.", [Type.Ref("Job#"), Type.Ref("DryRun#")]),
      },
      schema: {
        tags,
        operationId: "createJob",
        summary: "Submit a job",
        description:
          "With `dry_run` nothing is stored, and the call returns DryRun: the tokens, the cost, the binding quota and the expected start.",
        headers: submitHeaders,
        querystring: dryRunQuery,
        body: jobBody(settings),
        response: { 200: Type.Ref("Job#"), ...errorResponses(submitErrors) },
      },
    },
    async (request, reply) => {
      const { body, caller } = request;
      if (asksDryRun(request.query, body.dry_run)) {
        return sendDryRun(reply, dryRunResource(await dryRun(context, submitInputOf(body), caller), clock.wall()));
      }
      const once = onceOf(request, "create job");
      const job = await submitOnce(context, { ...submitInputOf(body), ...traceOf(request) }, caller, once);
      // Relative to the called address, which may be below a proxy's path.
      reply.header("location", `jobs/${job.id}`);
      if (!once) return resourceOf({ job, state: "queued", attempts: [] });
      return readBy(caller, reply, await requireJob(context, job.id, caller));
    },
  );

  app.get(
    "/v1/jobs",
    {
      preValidation: foldMetadata,
      schema: {
        tags,
        operationId: "listJobs",
        summary: "List jobs, newest first",
        description:
          "Filter by labels with `metadata[key]=value`. With `batch`, lists the lines of a batch, the last ones first.",
        querystring: listQuery,
        response: {
          200: page,
          ...errorResponses(["invalid_request", "unknown_environment", "forbidden", "batch_not_found", "unavailable"]),
        },
      },
    },
    async ({ query, caller }) => {
      const only = caller.environments?.length === 1 ? caller.environments[0] : undefined;
      const filter = jobFilterOf(settings, { ...query, environment: query.environment ?? only }, caller);
      const { limit = defaultListLimit, cursor } = query;
      const { items, next } = await listJobs(context, filter, { limit, cursor }, caller);
      return pageOf(items.map(jobSummaryResource), next);
    },
  );

  app.get(
    "/v1/jobs/:job_id",
    {
      schema: {
        tags,
        operationId: "getJob",
        summary: "Get a job, and with ?wait= wait until it ends",
        params: jobParams,
        querystring: Type.Object(
          {
            wait: Type.Optional(
              Type.Integer({
                minimum: 0,
                maximum: settings.limits.maxWaitS,
                description:
                  "Maximum number of seconds to wait for the job to end. The response may still show a job that has not ended.",
              }),
            ),
          },
          { additionalProperties: false },
        ),
        response: { 200: Type.Ref("Job#"), ...errorResponses(["invalid_request", "job_not_found", "unavailable"]) },
      },
    },
    async ({ params, query, caller }, reply) => {
      const jobId = params.job_id.toLowerCase();
      const waitMs = (query.wait ?? 0) * 1000;
      const record = await requireJob(context, jobId, caller);
      if (waitMs === 0 || record.outcome) return readBy(caller, reply, record);
      const signal = disconnectSignal(reply, closing);
      const wait = () => waitForEnd(context, jobId, caller, { waitMs, signal });
      return readBy(caller, reply, await context.callers.whileRead(record.job, caller, wait));
    },
  );

  app.post(
    "/v1/jobs/:job_id/cancel",
    {
      schema: {
        tags,
        operationId: "cancelJob",
        summary: "Cancel a job that has not ended",
        description: "Aborts the running call, if any. Cancelling a cancelled job changes nothing and is not an error.",
        params: jobParams,
        response: {
          200: Type.Ref("Job#"),
          ...errorResponses(["invalid_request", "job_not_found", "conflict", "unavailable", "fate_unknown"]),
        },
      },
    },
    async ({ params, caller }) => resourceOf(await cancel(context, params.job_id.toLowerCase(), caller)),
  );

  app.post(
    "/v1/jobs/:job_id/retry",
    {
      schema: {
        tags,
        operationId: "retryJob",
        summary: "Retry a failed, cancelled or expired job",
        description:
          "A job's outcome never changes, so the call returns a new job with `retry_of`. Retrying the same job twice returns the same new job.",
        headers: Type.Object(traceHeaders),
        params: jobParams,
        response: { 200: Type.Ref("Job#"), ...errorResponses(["job_not_found", "conflict", ...submitErrors]) },
      },
    },
    async (request, reply) => {
      const { params, caller } = request;
      const record = await retry(context, params.job_id.toLowerCase(), caller, traceOf(request).trace);
      reply.header("location", `../${record.job.id}`);
      return resourceOf(record);
    },
  );
}

/** Combines query parameters of the form `metadata[key]=value` into one object. */
async function foldMetadata(request: FastifyRequest): Promise<void> {
  const query: [string, unknown][] = [];
  const labels: [string, unknown][] = [];
  for (const [name, value] of Object.entries(request.query as object)) {
    const key = /^metadata\[(.*)\]$/s.exec(name)?.[1];
    if (key === undefined) query.push([name, value]);
    else labels.push([key, value]);
  }
  if (labels.length === 0) return;
  query.push(["metadata", Object.fromEntries(labels)]);
  request.query = Object.fromEntries(query);
}
