// Serves GET /v1/usage: tokens, calls and dollars by day, key, environment, model and tenant.
import Type from "typebox";
import { quote, SluiceError } from "../../domain/errors.ts";
import { toUsd } from "../../domain/money.ts";
import { addUsage, noUsage, type UsageSums } from "../../domain/usage.ts";
import type { JobsContext } from "../../jobs/jobs-context.ts";
import { readUsage, type UsageGroup, usageGroups } from "../../jobs/read/usage-report.ts";
import { environmentFor } from "../../jobs/submit/policy.ts";
import { errorResponses } from "../error-responses.ts";
import type { HttpServer } from "../http-types.ts";

const dayMs = 86_400_000;
const defaultDays = 30;

const day = (description: string) => Type.Optional(Type.String({ pattern: "^\\d{4}-\\d{2}-\\d{2}$", description }));

const query = Type.Object(
  {
    from: day(`The first UTC day, such as 2030-01-31. Default: ${defaultDays} days ago.`),
    to: day("The last UTC day, inclusive. Default: today."),
    group_by: Type.Optional(
      Type.String({ description: `A comma-separated list of ${usageGroups.join(", ")}. Default: day.` }),
    ),
    environment: Type.Optional(Type.String()),
    model: Type.Optional(Type.String()),
    tenant: Type.Optional(Type.String({ description: "Only admin keys may name another tenant than their own." })),
  },
  { additionalProperties: false },
);

const count = Type.Integer();
const sums = {
  jobs: Type.Integer({ description: "Jobs whose first attempt started in the period." }),
  attempts: Type.Integer({ description: "Calls that were sent or may have been sent." }),
  attempts_without_end: Type.Integer({
    description: "Attempts that run or whose result is unknown. They may have been billed.",
  }),
  attempts_estimated: Type.Integer({
    description: "Attempts whose usage is unknown. They count with their estimates.",
  }),
  attempts_without_price: Type.Integer({
    description: "Attempts that used tokens with an unknown price. They are missing from cost_usd.",
  }),
  input_tokens: Type.Integer({ description: "Input tokens, without those read from or written to a prompt cache." }),
  input_tokens_estimated: Type.Integer({ description: "The part of input_tokens that is an estimate." }),
  output_tokens: count,
  output_tokens_estimated: Type.Integer({ description: "The part of output_tokens that is an estimate." }),
  cache_read_tokens: count,
  cache_write_tokens: count,
  cost_usd: Type.Number({ description: "Cost at the catalogue's prices at the time of the call." }),
  cost_usd_estimated: Type.Number({ description: "The part of cost_usd that is an estimate." }),
};

const answer = Type.Object({
  from: Type.String(),
  to: Type.String(),
  group_by: Type.Array(Type.Enum([...usageGroups])),
  data: Type.Array(
    Type.Object({
      day: Type.Optional(Type.String({ description: "The UTC day on which the call was charged to the quotas." })),
      key: Type.Optional(
        Type.Unsafe<string | null>({
          type: ["string", "null"],
          description: "The id of the API key. Null for calls without a key.",
        }),
      ),
      environment: Type.Optional(Type.String()),
      model: Type.Optional(Type.String({ description: "The alias that was called: the job's model or a fallback." })),
      tenant: Type.Optional(Type.String()),
      ...sums,
    }),
    { description: "The groups, ordered by the grouping fields." },
  ),
  total: Type.Object(sums),
});

export function usageRoutes(app: HttpServer, context: JobsContext): void {
  app.get(
    "/v1/usage",
    {
      schema: {
        tags: ["service"],
        operationId: "getUsage",
        summary: "Get usage and cost by day, key, environment, model or tenant",
        description: "Computed from the stored calls. Each call counts once, including retries.",
        querystring: query,
        response: {
          200: answer,
          ...errorResponses(["invalid_request", "unknown_environment", "forbidden", "unavailable"]),
        },
      },
    },
    async ({ query, caller }) => {
      const now = context.clock.wall();
      const { from = dayOf(now - defaultDays * dayMs), to = dayOf(now), model, tenant } = query;
      checkDay("from", from);
      checkDay("to", to);
      const groupBy = groupsOf(query.group_by ?? "day");
      const environment =
        query.environment === undefined ? undefined : environmentFor(context.settings, caller, query.environment);
      const rows = await readUsage(context, { from, to, groupBy, environment, model, tenant }, caller);
      const total = { ...noUsage };
      for (const row of rows) addUsage(total, row);
      return {
        from,
        to,
        group_by: groupBy,
        data: rows.map(({ by, ...row }) => ({ ...(by as Record<string, string>), ...resourceOf(row) })),
        total: resourceOf(total),
      };
    },
  );
}

function resourceOf(sums: UsageSums) {
  return {
    jobs: sums.jobs,
    attempts: sums.attempts,
    attempts_without_end: sums.open,
    attempts_estimated: sums.estimated,
    attempts_without_price: sums.unpriced,
    input_tokens: sums.input,
    input_tokens_estimated: sums.estimatedInput,
    output_tokens: sums.output,
    output_tokens_estimated: sums.estimatedOutput,
    cache_read_tokens: sums.cacheRead,
    cache_write_tokens: sums.cacheWrite,
    cost_usd: toUsd(sums.nanoUsd),
    cost_usd_estimated: toUsd(sums.estimatedNanoUsd),
  };
}

function groupsOf(text: string): UsageGroup[] {
  const names = [...new Set(text === "" ? [] : text.split(","))];
  const unknown = names.find((name) => !usageGroups.includes(name as UsageGroup));
  if (unknown === undefined) return names as UsageGroup[];
  throw new SluiceError(
    "invalid_request",
    `group_by must be a comma-separated list of ${usageGroups.join(", ")}; got ${quote(unknown)}.`,
    { field: "group_by" },
  );
}

function checkDay(field: string, text: string): void {
  const at = Date.parse(`${text}T00:00:00Z`);
  if (!Number.isNaN(at) && dayOf(at) === text) return;
  throw new SluiceError("invalid_request", `${field} must be a day such as 2030-01-31; got ${quote(text)}.`, { field });
}

function dayOf(epochMs: number): string {
  return new Date(epochMs).toISOString().slice(0, 10);
}
