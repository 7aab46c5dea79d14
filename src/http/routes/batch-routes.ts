// /v1/batches: OpenAI's contract; and beyond it results while a batch runs, and retries.
import { Readable } from "node:stream";
import Type from "typebox";
import { createBatchDryRun } from "../../jobs/batches/batch-dry-run.ts";
import { progressOf } from "../../jobs/batches/batch-progress.ts";
import { type Batch, listBatches, requireBatch } from "../../jobs/batches/batch-records.ts";
import { resultsSoFar } from "../../jobs/batches/batch-results.ts";
import { cancelBatch, createBatch, retryBatch } from "../../jobs/batches/batches.ts";
import { deleteBatch } from "../../jobs/batches/delete-batch.ts";
import { createLineCounter } from "../../jobs/batches/line-counter.ts";
import type { JobsContext } from "../../jobs/jobs-context.ts";
import { asksDryRun, dryRunQuery, sendDryRun } from "../../wire/dry-run-resource.ts";
import { batchDryRunResource } from "../../wire/openai/batch-dry-run-resource.ts";
import { batchResource } from "../../wire/openai/batch-resource.ts";
import { expiresAfter } from "../../wire/openai/expires-after.ts";
import { lineFormats } from "../../wire/openai/line-formats.ts";
import { dryRunField, metadata as metadataField, webhookUrl } from "../../wire/request-fields.ts";
import { closingSignal, disconnectError, disconnectSignal } from "../disconnect.ts";
import { errorResponses } from "../error-responses.ts";
import type { HttpServer } from "../http-types.ts";
import { idempotencyHeaders, onceOf } from "../idempotency-header.ts";
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
      description: "A file with the purpose batch; its environment is that of the batch.",
    }),
    endpoint: Type.String({ maxLength: 200, description: "The path that every line calls." }),
    completion_window: Type.String({ maxLength: 20, description: "Hours or days, such as 24h or 7d: from 1h to 14d." }),
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

  app.post(
    "/v1/batches",
    {
      config: {
        documented: answersOf("The batch; of a dry run what would become of it.", [
          Type.Ref("Batch#"),
          Type.Ref("BatchDryRun#"),
        ]),
      },
      schema: {
        tags,
        operationId: "createBatch",
        summary: "Run the lines of a file",
        description:
          "The file is checked first; only if every line is as it must be there are any jobs. With `dry_run` it is checked and summed up while the caller waits, nothing is stored, and the answer is the schema BatchDryRun.",
        headers: idempotencyHeaders,
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
            after: Type.Optional(
              Type.String({ maxLength: 200, description: "Id of the last batch of the page before." }),
            ),
            limit: Type.Optional(
              Type.Integer({ minimum: 1, maximum: maxPage, description: `By default ${defaultPage}.` }),
            ),
          },
          { additionalProperties: false },
        ),
        response: {
          200: Type.Object({
            object: Type.Literal("list"),
            data: Type.Array(Type.Ref("Batch#")),
            has_more: Type.Boolean(),
            first_id: Type.Optional(Type.String()),
            last_id: Type.Optional(Type.String()),
          }),
          ...errorResponses(["invalid_request", "batch_not_found", "unavailable"], "OpenAIError"),
        },
      },
    },
    async ({ query: { after, limit = defaultPage }, caller }) => {
      if (after !== undefined) await requireBatch(context, after, caller);
      const { batches, more } = await listBatches(context, { after, limit }, caller);
      return {
        object: "list" as const,
        data: await Promise.all(batches.map(resourceOf)),
        has_more: more,
        ...(batches.length > 0 && { first_id: batches[0]!.request.id, last_id: batches.at(-1)!.request.id }),
      };
    },
  );

  app.get(
    "/v1/batches/:batch_id",
    {
      schema: {
        tags,
        operationId: "retrieveBatch",
        summary: "Where a batch stands",
        params,
        response: { 200: Type.Ref("Batch#"), ...errorResponses(["batch_not_found", "unavailable"], "OpenAIError") },
      },
    },
    async ({ params, caller }) => resourceOf(await requireBatch(context, params.batch_id, caller)),
  );

  app.delete(
    "/v1/batches/:batch_id",
    {
      schema: {
        tags,
        operationId: "deleteBatch",
        summary: "Delete a batch with its lines and files, for good",
        description:
          "Only a batch that is over: cancel it first. Its jobs are deleted with their prompts and answers, and its files, but the input while another batch has it. Calls stay on record without texts: quotas and usage count them.",
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
          "Lines that wait end at once; calls that run may end within ten minutes. Cancelling twice is no error.",
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
        summary: "Run the lines again that did not complete",
        description:
          "The answer is a new batch, of a new file with those lines. Retrying a batch twice gives the same one.",
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
    async ({ params, caller }) => resourceOf(await retryBatch(context, formats, params.batch_id, caller)),
  );

  app.get(
    "/v1/batches/:batch_id/results",
    {
      schema: {
        tags,
        operationId: "batchResults",
        summary: "The lines that have ended so far",
        description:
          "A line of JSON for each, as in output and error file, in the order of the lines and with `line`, the number in the input. Lines that have not ended are left out.",
        params,
        querystring: Type.Object(
          {
            after: Type.Optional(
              Type.Integer({ minimum: 0, maximum: 0xffff_fffe, description: "Only lines after this one." }),
            ),
            limit: Type.Optional(
              Type.Integer({ minimum: 1, maximum: maxResults, description: `By default ${defaultResults}.` }),
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
      const { request } = await requireBatch(context, params.batch_id, caller);
      const results = resultsSoFar(context.store, request, formats[request.endpoint]!, { after, limit });
      return reply.type("application/jsonl").send(Readable.from(results, { objectMode: false }));
    },
  );
}
