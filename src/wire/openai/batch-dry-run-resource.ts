// Defines the resource that POST /v1/batches returns for `dry_run`.
import Type, { type Static } from "typebox";
import type { BatchDryRun } from "../../jobs/batches/batch-dry-run.ts";
import type { Totals } from "../../jobs/batches/totals.ts";
import { bindingQuota, costRange, placeOf, quotaOf, usdRange } from "../dry-run-resource.ts";
import { waitingOn } from "../job-resource.ts";
import { iso, isoOrNull, nullable, time } from "../resource-types.ts";
import { batchErrors, batchErrorsOf } from "./batch-resource.ts";

const tokens = nullable(
  Type.Object(
    { input_reserved: Type.Integer(), max_output: Type.Integer() },
    { description: "Tokens reserved in the quotas: an upper bound of the input, and max_tokens." },
  ),
);
const cost = costRange(
  "From empty answers to answers of max_tokens, with the reserved input. Null if a price is unknown.",
);
const quota = bindingQuota("The binding quota: the one that takes longest to admit all lines.");

/** The schema of a batch's dry run. Fastify registers it under this `$id`. */
export const batchDryRunSchema = Type.Object(
  {
    dry_run: Type.Literal(true),
    valid: Type.Boolean({
      description: "Whether the batch would run. If not, `errors` says why, and the estimates are null.",
    }),
    errors: nullable(batchErrors),
    environment: Type.String(),
    tenant: Type.String(),
    endpoint: Type.String(),
    input_file_id: Type.String(),
    completion_window: Type.String(),
    lines: Type.Integer({ description: "Requests in the file. If the file has errors, the requests read so far." }),
    tokens,
    cost_usd: cost,
    quota,
    models: Type.Array(Type.Object({ model: Type.String(), lines: Type.Integer(), tokens, cost_usd: cost, quota }), {
      description: "The same figures by model, most lines first.",
    }),
    position: nullable(Type.Integer({ description: "Queue position of the first line." })),
    waiting_on: nullable(waitingOn),
    expected_start: nullable(time("Expected start of the first line. Null if unknown.")),
    expected_last_start: nullable(
      time("Expected start of the last line, from what the lines reserve. Null if unknown."),
    ),
    expected_finish: nullable(
      time("Expected end of the last line, from the recent call durations of its model. Null if unknown."),
    ),
    expires_at: time("The end of completion_window."),
    in_completion_window: nullable(
      Type.Boolean({
        description:
          "Whether expected_finish, or else expected_last_start, is before expires_at. Null if both are unknown.",
      }),
    ),
  },
  { $id: "BatchDryRun" },
);

/**
 * Returns a batch's dry run as the API shows it.
 * @param now milliseconds since the epoch
 */
export function batchDryRunResource(
  { request, lines, errors, estimate }: BatchDryRun,
  now: number,
): Static<typeof batchDryRunSchema> {
  const { start: _, ...place } = placeOf(estimate?.queuePosition, now);
  return {
    dry_run: true,
    valid: errors.length === 0,
    errors: errors.length > 0 ? batchErrorsOf(errors) : null,
    environment: request.environment,
    tenant: request.tenant,
    endpoint: request.endpoint,
    input_file_id: request.inputFileId,
    completion_window: request.completionWindow,
    lines,
    ...totalsOf(estimate),
    models: (estimate?.models ?? []).map((each) => ({ model: each.model, lines: each.lines, ...totalsOf(each) })),
    ...place,
    expected_last_start: isoOrNull(estimate?.lastStart),
    expected_finish: isoOrNull(estimate?.finish),
    expires_at: iso(request.expiresAt),
    in_completion_window: estimate?.inWindow ?? null,
  };
}

function totalsOf(totals: Totals | undefined) {
  return {
    tokens: totals ? { input_reserved: totals.tokens.input, max_output: totals.tokens.output } : null,
    cost_usd: usdRange(totals?.cost),
    quota: quotaOf(totals?.binding),
  };
}
