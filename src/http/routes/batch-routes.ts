// Serves /v1/batches: OpenAI's API, extended by results of a running batch and by retries.
import { Readable } from "node:stream";
import Type from "typebox";
import { createBatchDryRun } from "../../jobs/batches/batch-dry-run.ts";
import { progressOf } from "../../jobs/batches/batch-progress.ts";
import { type Batch, listBatches, requireBatch } from "../../jobs/batches/batch-records.ts";
import { resultsSoFar } from "../../jobs/batches/batch-results.ts";
import { cancelBatch, createBatch, retryBatch } from "../../jobs/batches/batches.ts";
import { deleteBatch } from "../../jobs/batches/delete-batch.ts";
import { createLineCounter } from "../../jobs/batches/line-counter.ts";
import { createBatchCosts } from "../../jobs/batches/running-cost.ts";
import type { JobsContext } from "../../jobs/jobs-context.ts";
import { eraseReadResults, erasesByReading } from "../../jobs/retention/first-read.ts";
import { ResultsRead } from "../../jobs/retention/results-read.ts";
import { asksDryRun, dryRunQuery, sendDryRun } from "../../wire/dry-run-resource.ts";
import { batchDryRunResource } from "../../wire/openai/batch-dry-run-resource.ts";
import { batchResource } from "../../wire/openai/batch-resource.ts";
import { expiresAfter } from "../../wire/openai/expires-after.ts";
import { lineFormats } from "../../wire/openai/line-formats.ts";
import { dryRunField, metadata as metadataField, webhookUrl } from "../../wire/request-fields.ts";
import { closingSignal, disconnectError, disconnectSignal } from "../disconnect.ts";
import { onceSent } from "../erase-once-read.ts";
import { errorResponses } from "../error-responses.ts";
import type { HttpServer } from "../http-types.ts";
import { onceOf } from "../idempotency-header.ts";
import { afterField, listOf, listSchema, pageLimit } from "../pages.ts";
import { submitHeaders, traceHeaders, traceOf } from "../trace-headers.ts";
import { answersOf } from "./documentation-routes.ts";

const params = Type.Object({ batch_id: Type.String() });
const defaultPage = 20;
const maxPage = 100;
const defaultResults = 1_000;
const maxResults = 1_000_000;

const body = Type.Object(
  {
    input_file_id: Type.String({
      maxLength: 200,
      description: "The id of a file with the purpose batch. The batch gets the file's environment.",
    }),
    endpoint: Type.String({
      maxLength: 2_200,
      description:
        "The path of every line: /v1/chat/completions, /v1/responses, or for bodies in Bedrock's own format /model/{modelId}/converse or /model/{modelId}/invoke.",
    }),
    completion_window: Type.String({
      maxLength: 20,
      description: "A number of hours or days, such as 24h or 7d, from 1h to 14d.",
    }),
    metadata: Type.Optional(metadataField),
    webhook_url: Type.Optional(webhookUrl("batch")),
    output_expires_after: Type.Optional(expiresAfter("output and error file")),
    ...dryRunField,
  },
  { additionalProperties: false },
);

export function batchRoutes(app: HttpServer, context: JobsContext): void {
  const formats = lineFormats(context.settings);
  const counter = createLineCounter(context);
  const tryBatch = createBatchDryRun(context, formats);
  const closing = closingSignal(app);
  const tags = ["openai"];

  const resourceOf = async (batch: Batch) => batchResource(batch, await progressOf(context, counter, batch));
  const costs = createBatchCosts(context);
  const resultsRead = new ResultsRead();
  const withCost = async (batch: Batch) => {
    const progress = await progressOf(context, counter, batch);
    return batchResource(batch, progress, await costs.of(batch, progress.counts));
  };

  app.post(
    "/v1/batches",
    {
      config: {
        documented: answersOf("The batch, or the estimate of a dry run.", [
          Type.Ref("Batch#"),
          Type.Ref("BatchDryRun#"),
        ]),
      },
      schema: {
        tags,
        operationId: "createBatch",
        summary: "Create a batch from a file",
        description:
          "Sluice validates the file first and creates jobs only if every line is valid. With `dry_run` it validates and estimates while the caller waits, stores nothing, and returns BatchDryRun.",
        headers: submitHeaders,
        querystring: dryRunQuery,
        body,
        response: {
          200: Type.Ref("Batch#"),
          ...errorResponses(
            [
              ...(["invalid_request", "invalid_json", "file_not_found", "idempotency_conflict"] as const),
              ...(["unavailable", "fate_unknown", "storage_full"] as const),
            ],
            "OpenAIError",
          ),
        },
      },
    },
    async (request, reply) => {
      const { input_file_id, endpoint, completion_window, metadata, webhook_url, output_expires_after, dry_run } =
        request.body;
      const input = {
        inputFileId: input_file_id,
        endpoint,
        completionWindow: completion_window,
        ...(metadata && { metadata }),
        ...(webhook_url !== undefined && { webhookUrl: webhook_url }),
        ...(output_expires_after && { outputExpiresInMs: output_expires_after.seconds * 1000 }),
        ...traceOf(request),
      };
      if (asksDryRun(request.query, dry_run)) {
        const disconnected = disconnectSignal(reply, closing);
        const run = await tryBatch(input, request.caller, disconnected).catch((error) => {
          throw disconnected.aborted ? disconnectError(closing) : error;
        });
        return sendDryRun(reply, batchDryRunResource(run, context.clock.wall()));
      }
      return resourceOf(await createBatch(context, formats, input, request.caller, onceOf(request, "batch")));
    },
  );

  app.get(
    "/v1/batches",
    {
      schema: {
        tags,
        operationId: "listBatches",
        summary: "List batches, newest first",
        querystring: Type.Object(
          {
            after: afterField("batch"),
            limit: pageLimit({ usual: defaultPage, max: maxPage }),
          },
          { additionalProperties: false },
        ),
        response: {
          200: listSchema(Type.Ref("Batch#")),
          ...errorResponses(["invalid_request", "batch_not_found", "unavailable"], "OpenAIError"),
        },
      },
    },
    async ({ query: { after, limit = defaultPage }, caller }) => {
      if (after !== undefined) await requireBatch(context, after, caller);
      const { batches, more } = await listBatches(context, { after, limit }, caller);
      return listOf(await Promise.all(batches.map(resourceOf)), more);
    },
  );

  app.get(
    "/v1/batches/:batch_id",
    {
      schema: {
        tags,
        operationId: "retrieveBatch",
        summary: "Get a batch and its progress",
        params,
        response: { 200: Type.Ref("Batch#"), ...errorResponses(["batch_not_found", "unavailable"], "OpenAIError") },
      },
    },
    async ({ params, caller }) => withCost(await requireBatch(context, params.batch_id, caller)),
  );

  app.delete(
    "/v1/batches/:batch_id",
    {
      schema: {
        tags,
        operationId: "deleteBatch",
        summary: "Delete a batch with its jobs and files permanently",
        description:
          "Deletes only a batch that has ended, so cancel it first. Deletes its jobs with their prompts and answers, and its files. Keeps the input file while another batch uses it, and keeps the calls without texts, because quotas and usage count them.",
        params,
        response: {
          200: Type.Object({ id: Type.String(), object: Type.Literal("batch"), deleted: Type.Literal(true) }),
          ...errorResponses(["batch_not_found", "conflict", "unavailable", "fate_unknown"], "OpenAIError"),
        },
      },
    },
    async ({ params, caller }) => {
      await deleteBatch(context, params.batch_id, caller);
      return { id: params.batch_id, object: "batch" as const, deleted: true as const };
    },
  );

  app.post(
    "/v1/batches/:batch_id/cancel",
    {
      schema: {
        tags,
        operationId: "cancelBatch",
        summary: "Cancel a batch",
        description:
          "Waiting lines end at once. Running calls may end within ten minutes. Cancelling twice is not an error.",
        params,
        response: {
          200: Type.Ref("Batch#"),
          ...errorResponses(["batch_not_found", "conflict", "unavailable", "fate_unknown"], "OpenAIError"),
        },
      },
    },
    async ({ params, caller }) => resourceOf(await cancelBatch(context, params.batch_id, caller)),
  );

  app.post(
    "/v1/batches/:batch_id/retry",
    {
      schema: {
        tags,
        operationId: "retryBatch",
        summary: "Retry the lines that did not complete",
        description:
          "Returns a new batch, from a new file with those lines. Retrying a batch twice returns the same new batch.",
        headers: Type.Object(traceHeaders),
        params,
        response: {
          200: Type.Ref("Batch#"),
          ...errorResponses(
            ["batch_not_found", "file_not_found", "conflict", "unavailable", "fate_unknown", "storage_full"],
            "OpenAIError",
          ),
        },
      },
    },
    async (request) => {
      const { params, caller } = request;
      return resourceOf(await retryBatch(context, formats, params.batch_id, caller, traceOf(request).trace));
    },
  );

  app.get(
    "/v1/batches/:batch_id/results",
    {
      schema: {
        tags,
        operationId: "batchResults",
        summary: "List the results of the lines that have ended",
        description:
          "Returns one line of JSON for each ended line, as in the output and error files, in input order. Each has `line`, its number in the input. Lines that have not ended are omitted.",
        params,
        querystring: Type.Object(
          {
            after: Type.Optional(
              Type.Integer({ minimum: 0, maximum: 0xffff_fffe, description: "Return only lines after this one." }),
            ),
            limit: Type.Optional(
              Type.Integer({
                minimum: 1,
                maximum: maxResults,
                description: `Maximum number of results. Default: ${defaultResults}.`,
              }),
            ),
          },
          { additionalProperties: false },
        ),
        response: {
          200: { content: { "application/jsonl": { schema: Type.Unsafe<Readable>({ type: "string" }) } } },
          ...errorResponses(["invalid_request", "batch_not_found", "unavailable"], "OpenAIError"),
        },
      },
    },
    async ({ params, query: { after = 0, limit = defaultResults }, caller }, reply) => {
      const batch = await requireBatch(context, params.batch_id, caller);
      const { request, steps } = batch;
      const page = { after, last: after, results: 0 };
      const onPage = (numbers: readonly number[]) => {
        page.results += numbers.length;
        page.last = numbers.at(-1) ?? page.last;
      };
      const format = formats.of(request.endpoint)!;
      const results = resultsSoFar(context.store, request, format, { after, limit, onPage });
      if (steps.ended && erasesByReading(context, request, caller)) {
        onceSent(reply, async () => {
          const read = resultsRead.add(request.id, { ...page, isLast: page.results < limit });
          if (read !== undefined) await eraseReadResults(context, batch, read);
        });
      }
      return reply.type("application/jsonl").send(Readable.from(results, { objectMode: false }));
    },
  );
}
