// Serves POST /v1/jobs/cancel, /v1/jobs/retry and /v1/jobs/change, which change all jobs that match a filter.
import Type, { type Static } from "typebox";
import { SluiceError } from "../../domain/errors.ts";
import type { Caller } from "../../jobs/caller.ts";
import { cancelFiltered, changeFiltered, type FilteredResult, retryFiltered } from "../../jobs/control/filtered.ts";
import type { JobsContext } from "../../jobs/jobs-context.ts";
import type { JobFilter } from "../../jobs/read/list.ts";
import { jobFilterFields, jobFilterOf, priority } from "../../wire/request-fields.ts";
import { nullable } from "../../wire/resource-types.ts";
import { controlErrors, errorResponses } from "../error-responses.ts";
import type { HttpServer } from "../http-types.ts";

const defaultLimit = 1000;

const body = Type.Object(
  {
    ...jobFilterFields,
    dry_run: Type.Optional(Type.Boolean({ description: "If true, only counts the jobs. Default: false." })),
    limit: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1000,
        description: `Maximum number of jobs in one call. Default: ${defaultLimit}.`,
      }),
    ),
    cursor: Type.Optional(Type.String({ maxLength: 1000, description: "`next_cursor` of the previous call." })),
  },
  { additionalProperties: false, examples: [{ environment: "UAT", submitted_before: "2030-01-31T12:00:00Z" }] },
);

const changeBody = Type.Object(
  {
    ...body.properties,
    set: Type.Object(
      { priority: priority("The new priority.") },
      { additionalProperties: false, description: "What to change." },
    ),
  },
  { additionalProperties: false, examples: [{ environment: "UAT", set: { priority: "batch" } }] },
);

const answer = Type.Object({
  dry_run: Type.Boolean(),
  matched: Type.Integer({ description: "Number of jobs in this call that match the filter." }),
  done: Type.Integer({ description: "Number of jobs that were changed." }),
  errors: Type.Array(Type.Object({ job_id: Type.String(), code: Type.String(), message: Type.String() }), {
    description: "Why the others could not be changed: the first 100 errors.",
  }),
  next_cursor: nullable(
    Type.String({ description: "If not null, more jobs may match. Send it with the same filter." }),
  ),
});

export function jobFilterRoutes(app: HttpServer, context: JobsContext): void {
  const tags = ["jobs"];
  const errors = errorResponses(["batch_not_found", ...controlErrors]);

  app.post(
    "/v1/jobs/cancel",
    {
      schema: {
        tags,
        operationId: "cancelJobs",
        summary: "Cancel the jobs that match a filter",
        description:
          "Cancels waiting and running jobs, or only those with `status`. Requires at least one filter. One call handles a bounded number of jobs: call again with `next_cursor` until it is null.",
        body,
        response: { 200: answer, ...errors },
      },
    },
    async ({ body, caller }) => {
      const filter = filterOf(context, body, caller, ["queued", "in_progress"]);
      return resourceOf(body, await cancelFiltered(context, filter, portionOf(body), caller));
    },
  );

  app.post(
    "/v1/jobs/retry",
    {
      schema: {
        tags,
        operationId: "retryJobs",
        summary: "Retry the jobs that match a filter",
        description:
          "Retries failed and expired jobs, or only those with `status`. Each gets one new job, however often you retry it. Requires at least one filter. One call handles a bounded number of jobs: call again with `next_cursor` until it is null.",
        body,
        response: { 200: answer, ...errors },
      },
    },
    async ({ body, caller }) => {
      const filter = filterOf(context, body, caller, ["failed", "expired", "cancelled"]);
      return resourceOf(body, await retryFiltered(context, filter, portionOf(body), caller));
    },
  );

  app.post(
    "/v1/jobs/change",
    {
      schema: {
        tags,
        operationId: "changeJobs",
        summary: "Change the priority of the waiting jobs that match a filter",
        description:
          "Requires at least one filter. One call handles a bounded number of jobs: call again with `next_cursor` until it is null.",
        body: changeBody,
        response: { 200: answer, ...errors },
      },
    },
    async ({ body: { set, ...body }, caller }) => {
      const filter = filterOf(context, body, caller, ["queued"]);
      return resourceOf(body, await changeFiltered(context, filter, set, portionOf(body), caller));
    },
  );
}

type Body = Static<typeof body>;

function filterOf({ settings }: JobsContext, fields: Body, caller: Caller, states: readonly string[]): JobFilter {
  const filter = jobFilterOf(settings, fields, caller);
  if (Object.keys(filter).length === 0) {
    const names = Object.keys(jobFilterFields).join(", ");
    throw new SluiceError("invalid_request", `At least one filter is required: ${names}.`, { field: "environment" });
  }
  if (filter.state !== undefined && !states.includes(filter.state)) {
    const message = `status must be one of ${states.join(", ")} here; got ${filter.state}.`;
    throw new SluiceError("invalid_request", message, { field: "status" });
  }
  return filter;
}

function portionOf({ limit = defaultLimit, cursor, dry_run: dryRun = false }: Body) {
  return { limit, dryRun, ...(cursor !== undefined && { cursor }) };
}

function resourceOf({ dry_run = false }: Body, { matched, done, errors, next }: FilteredResult) {
  const shown = errors.map(({ jobId, code, message }) => ({ job_id: jobId, code, message }));
  return { dry_run, matched, done, errors: shown, next_cursor: next ?? null };
}
