// POST /v1/jobs/cancel and POST /v1/jobs/retry: many jobs at once, by a filter.
import Type, { type Static } from "typebox";
import { SluiceError } from "../../domain/errors.ts";
import type { Caller } from "../../jobs/caller.ts";
import { cancelFiltered, type FilteredResult, retryFiltered } from "../../jobs/control/filtered.ts";
import type { JobsContext } from "../../jobs/jobs-context.ts";
import type { JobFilter } from "../../jobs/read/list.ts";
import { jobFilterFields, jobFilterOf } from "../../wire/request-fields.ts";
import { nullable } from "../../wire/resource-types.ts";
import { controlErrors, errorResponses } from "../error-responses.ts";
import type { HttpServer } from "../http-types.ts";

const defaultLimit = 1000;

const body = Type.Object(
  {
    ...jobFilterFields,
    dry_run: Type.Optional(Type.Boolean({ description: "Count only. By default false." })),
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 1000, description: `Jobs in one call; by default ${defaultLimit}.` }),
    ),
    cursor: Type.Optional(Type.String({ maxLength: 1000, description: "`next_cursor` of the call before." })),
  },
  { additionalProperties: false, examples: [{ environment: "UAT", submitted_before: "2030-01-31T12:00:00Z" }] },
);

const answer = Type.Object({
  dry_run: Type.Boolean(),
  matched: Type.Integer({ description: "Jobs that the filter fits, in this call." }),
  done: Type.Integer({ description: "Jobs for which it was done." }),
  errors: Type.Array(Type.Object({ job_id: Type.String(), code: Type.String(), message: Type.String() }), {
    description: "Why it could not be done for the others: the first 100.",
  }),
  next_cursor: nullable(Type.String({ description: "Not null: there may be more. Send it with the same filter." })),
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
        summary: "Cancel the jobs that a filter fits",
        description:
          "Those that wait or run, or of `status` only. At least one filter must be given. A bounded number in one call: call again with `next_cursor` until it is null.",
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
        summary: "Submit the jobs that a filter fits again",
        description:
          "Those that failed or expired, or of `status` only. Each becomes a new job, the same one however often it is asked for. At least one filter must be given. A bounded number in one call: call again with `next_cursor` until it is null.",
        body,
        response: { 200: answer, ...errors },
      },
    },
    async ({ body, caller }) => {
      const filter = filterOf(context, body, caller, ["failed", "expired", "cancelled"]);
      return resourceOf(body, await retryFiltered(context, filter, portionOf(body), caller));
    },
  );
}

type Body = Static<typeof body>;

function filterOf({ settings }: JobsContext, asked: Body, caller: Caller, states: readonly string[]): JobFilter {
  const filter = jobFilterOf(settings, asked, caller);
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
