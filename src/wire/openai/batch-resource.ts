// Converts batches and files to OpenAI's objects. Further fields hold what only Sluice knows.
import Type from "typebox";
import { type BatchEnd, type BatchError, type BatchSteps, batchStatus, batchStatuses } from "../../domain/batch.ts";
import { jobStates } from "../../domain/job.ts";
import type { BatchProgress } from "../../jobs/batches/batch-progress.ts";
import type { Batch } from "../../jobs/batches/batch-records.ts";
import { isOver } from "../../jobs/batches/batches.ts";
import type { BatchCost } from "../../jobs/batches/running-cost.ts";
import { filePurposes, type StoredFile } from "../../jobs/files/files.ts";
import { waitingOn, waitingOnOf } from "../job-resource.ts";
import { nullable } from "../resource-types.ts";

const seconds = (description: string) =>
  Type.Optional(Type.Integer({ description: `${description}; Unix time in seconds.` }));
const count = Type.Integer();

/** The schema of a file. Fastify registers it under this `$id`, and routes refer to it. */
export const fileSchema = Type.Object(
  {
    id: Type.String(),
    object: Type.Literal("file"),
    bytes: count,
    created_at: Type.Integer(),
    expires_at: Type.Optional(Type.Integer({ description: "When the file is deleted, if `expires_after` was set." })),
    filename: Type.String(),
    purpose: Type.Enum([...filePurposes]),
    status: Type.Literal("processed"),
    environment: Type.String({ description: "The environment that stores the file and runs its lines." }),
  },
  { $id: "File", additionalProperties: false },
);

export function fileResource({ id, bytes, createdAt, expiresAt, filename, purpose, environment }: StoredFile) {
  return {
    id,
    object: "file" as const,
    bytes,
    created_at: toSeconds(createdAt),
    ...(expiresAt !== undefined && { expires_at: toSeconds(expiresAt) }),
    filename,
    purpose,
    status: "processed" as const,
    environment,
  };
}

/** The errors in a batch's file. */
export const batchErrors = Type.Object({
  object: Type.Literal("list"),
  data: Type.Array(
    Type.Object({
      code: Type.String(),
      message: Type.String(),
      line: nullable(Type.Integer({ description: "Counts from 1." })),
      param: nullable(Type.String()),
    }),
    { description: "The first 100 errors in the file." },
  ),
});

export function batchErrorsOf(errors: readonly BatchError[]) {
  const data = errors.map(({ code, message, line = null, param = null }) => ({ code, message, line, param }));
  return { object: "list" as const, data };
}

/** The schema of a batch. Fastify registers it under this `$id`, and routes refer to it. */
export const batchSchema = Type.Object(
  {
    id: Type.String(),
    object: Type.Literal("batch"),
    endpoint: Type.String(),
    errors: Type.Optional(batchErrors),
    input_file_id: Type.String(),
    completion_window: Type.String(),
    status: Type.Enum([...batchStatuses]),
    output_file_id: Type.Optional(Type.String()),
    error_file_id: Type.Optional(Type.String()),
    created_at: Type.Integer(),
    in_progress_at: seconds("When the file passed validation"),
    expires_at: seconds("When the batch expires"),
    finalizing_at: seconds("When every line had ended"),
    completed_at: seconds("When the output was complete"),
    failed_at: seconds("When the file failed validation"),
    expired_at: seconds("When the output was complete"),
    cancelling_at: seconds("When cancellation was requested"),
    cancelled_at: seconds("When the output was complete"),
    request_counts: Type.Object(
      { total: count, completed: count, failed: count },
      { description: "`failed` includes expired lines." },
    ),
    metadata: nullable(
      Type.Unsafe<Record<string, string>>({ type: "object", additionalProperties: { type: "string" } }),
    ),
    usage: Type.Optional(
      Type.Object({
        input_tokens: count,
        input_tokens_details: Type.Object({ cached_tokens: count }),
        output_tokens: count,
        output_tokens_details: Type.Object({ reasoning_tokens: count }),
        total_tokens: count,
      }),
    ),
    environment: Type.String(),
    progress: Type.Object(
      Object.fromEntries(jobStates.map((state) => [state, count])) as Record<string, typeof count>,
      {
        description: "Number of lines in each state. Lines whose jobs are not created yet are not counted.",
      },
    ),
    eta: seconds("When the last line is expected to start"),
    expected_finish: seconds("When the last line is expected to have ended"),
    position: Type.Optional(Type.Integer({ description: "Queue position of the last line." })),
    waiting_on: Type.Optional(waitingOn),
    cost_usd: Type.Optional(Type.Number({ description: "Cost at the catalogue's prices, once the batch has ended." })),
    cost_usd_estimated: Type.Optional(
      Type.Number({ description: "The part of cost_usd that is an estimate because the usage is unknown." }),
    ),
    cost_usd_so_far: Type.Optional(
      Type.Number({
        description:
          "Cost of the lines that have ended, while the batch runs: their number times the mean of a sample. Exact if the sample has all of them. Lists omit it.",
      }),
    ),
    cost_usd_expected: Type.Optional(
      Type.Number({ description: "Cost of all lines if the others cost as much as those of the sample." }),
    ),
    cost_sampled_lines: Type.Optional(
      Type.Integer({ description: "Number of ended lines in the sample: up to 500, spread over those that ended." }),
    ),
    retry_of: Type.Optional(Type.String({ description: "The batch whose failed lines this one retries." })),
  },
  { $id: "Batch", additionalProperties: false },
);

/**
 * Returns a batch as the API shows it.
 * @param cost what it has cost so far. Default: not shown
 */
export function batchResource(
  { request, steps }: Batch,
  { counts, eta, finish, lastLine }: BatchProgress,
  cost?: BatchCost,
) {
  const { ended, validated } = steps;
  const status = batchStatus(steps);
  return {
    id: request.id,
    object: "batch" as const,
    endpoint: request.endpoint,
    ...(status === "failed" && { errors: batchErrorsOf(validated!.errors) }),
    input_file_id: request.inputFileId,
    completion_window: request.completionWindow,
    status,
    ...(ended?.outputFileId !== undefined && { output_file_id: ended.outputFileId }),
    ...(ended?.errorFileId !== undefined && { error_file_id: ended.errorFileId }),
    created_at: toSeconds(request.createdAt),
    expires_at: toSeconds(request.expiresAt),
    ...timesOf(steps),
    request_counts: {
      total: status === "failed" ? 0 : (validated?.lines ?? 0),
      completed: counts.completed,
      failed: counts.failed + counts.expired,
    },
    metadata: request.metadata ?? null,
    ...(ended && {
      usage: usageOf(ended.usage),
      cost_usd: ended.costNanoUsd / 1e9,
      cost_usd_estimated: (ended.estimatedNanoUsd ?? 0) / 1e9,
    }),
    ...(cost && {
      cost_usd_so_far: cost.soFarNanoUsd / 1e9,
      cost_usd_expected: cost.expectedNanoUsd / 1e9,
      cost_sampled_lines: cost.sampled,
    }),
    environment: request.environment,
    progress: counts,
    ...(eta !== undefined && !isOver(status) && { eta: toSeconds(eta) }),
    ...(finish !== undefined && !isOver(status) && { expected_finish: toSeconds(finish) }),
    ...(lastLine && !isOver(status) && { position: lastLine.position, waiting_on: waitingOnOf(lastLine) }),
    ...(request.retryOf !== undefined && { retry_of: request.retryOf }),
  };
}

function timesOf({ validated, cancelled, finalizing, ended }: BatchSteps) {
  const failed = validated && validated.errors.length > 0;
  return {
    ...(validated && { [failed ? "failed_at" : "in_progress_at"]: toSeconds(validated.at) }),
    ...(finalizing && { finalizing_at: toSeconds(finalizing.at) }),
    ...(cancelled && { cancelling_at: toSeconds(cancelled.at) }),
    ...(ended && { [`${ended.status}_at`]: toSeconds(ended.at) }),
  };
}

function usageOf({ input, cached, output, reasoning = 0 }: BatchEnd["usage"]) {
  return {
    input_tokens: input,
    input_tokens_details: { cached_tokens: cached },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: reasoning },
    total_tokens: input + output,
  };
}

function toSeconds(epochMs: number): number {
  return Math.floor(epochMs / 1000);
}
