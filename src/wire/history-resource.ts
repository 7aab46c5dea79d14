// The resource of the history: a column for each number, with a value for each period, as charts take them.
import Type, { type Static } from "typebox";
import { percentile } from "../domain/log-histogram.ts";
import { type Calls, type Period, PeriodSum, type Queue, type QuotaUse } from "../jobs/history/period.ts";
import { type History, resolutions } from "../jobs/history/read-history.ts";
import { iso } from "./resource-types.ts";

const column = (description?: string) =>
  Type.Array(
    Type.Unsafe<number | null>({ type: ["number", "null"] }),
    description === undefined ? {} : { description },
  );

const quota = Type.Object({
  name: Type.String(),
  used: column("Mean amount in the quota's window: reserved by running calls and used by ended ones."),
  used_max: column("Largest amount in the quota's window that was seen."),
  reserved: column("The part of `used` that running calls reserved."),
  configured_limit: column(),
  effective_limit: column("The limit in use, learned from refusals."),
  time_at_limit: column("Share of the time in which the quota held up waiting jobs, 0 to 1."),
  requests: column("Calls that ended."),
  input_tokens: column("Input tokens of these calls, with those of a prompt cache."),
  output_tokens: column(),
  throttles: column("Calls that the provider refused because of this quota, or for an unnamed one."),
});

const calls = Type.Object({
  model: Type.String(),
  deployment: Type.String(),
  attempts: column("Calls that ended."),
  completed: column(),
  throttled: column(),
  failed: column("Calls that ended neither completed nor throttled."),
  input_tokens: column(),
  output_tokens: column(),
});

const queueColumns = {
  submitted: column("Jobs that were accepted."),
  completed: column(),
  failed: column("Jobs that failed or expired."),
  cancelled: column(),
  waiting: column("Mean number of waiting jobs."),
  oldest_waiting_s: column("Greatest age of a job that could run, in seconds."),
  waited_p50_s: column("Median time from a job's possible start to its first call, in seconds."),
  waited_p95_s: column("95th percentile of the same time."),
};

export const historySchema = Type.Object({
  resolution: Type.Enum([...resolutions]),
  from: Type.String({ format: "date-time" }),
  to: Type.String({ format: "date-time", description: "End of the last period." }),
  times: Type.Array(Type.String({ format: "date-time" }), {
    description: "Start of each period. Every other list has a value for each of them, null where nothing is known.",
  }),
  quotas: Type.Array(quota),
  calls: Type.Array(calls, { description: "Calls by model and deployment." }),
  queues: Type.Array(Type.Object({ environment: Type.String(), priority: Type.String(), ...queueColumns }), {
    description: "Jobs by environment and priority.",
  }),
  models: Type.Array(Type.Object({ model: Type.String(), ...queueColumns }), { description: "Jobs by model." }),
});

export type HistoryResource = Static<typeof historySchema>;

/** Returns the history as the API shows it. */
export function historyResource({ resolution, from, to, periods }: History): HistoryResource {
  const all = periods.map(({ period }) => period);
  const queuesBy =
    (namesOf: (queue: Queue) => Partial<Queue>) =>
    ({ queues }: Period) =>
      grouped(queues, namesOf);
  return {
    resolution,
    from: iso(from),
    to: iso(to),
    times: periods.map(({ at }) => iso(at)),
    quotas: columnsOf(
      all,
      ({ quotas }) => quotas,
      ({ name }) => ({ name }),
      quotaValues,
    ),
    calls: columnsOf(
      all,
      (period) => period.calls,
      ({ model, deployment }) => ({ model, deployment }),
      callValues,
    ),
    queues: columnsOf(all, queuesBy(placeOf), placeOf, queueValues),
    models: columnsOf(
      all,
      queuesBy(({ model }) => ({ model })),
      ({ model }) => ({ model }),
      queueValues,
    ),
  };
}

const placeOf = ({ environment, priority }: Queue) => ({ environment, priority });

/** Adds up the queues that have the same names. */
function grouped(queues: readonly Queue[], namesOf: (queue: Queue) => Partial<Queue>): Queue[] {
  const sum = new PeriodSum();
  const same = { environment: "", priority: "", model: "" };
  const renamed = queues.map((queue) => ({ ...queue, ...same, ...namesOf(queue) }));
  sum.add({ minutes: 0, samples: 0, quotas: [], calls: [], queues: renamed });
  return sum.period.queues;
}

// ---------------------------------------------------------------- values of a row in a period

function quotaValues(row: QuotaUse) {
  const mean = (sum: number) => (row.samples === 0 ? null : Math.round(sum / row.samples));
  return {
    used: mean(row.usedSum),
    used_max: row.samples === 0 ? null : row.usedMax,
    reserved: mean(row.reservedSum),
    configured_limit: mean(row.configuredSum),
    effective_limit: mean(row.effectiveSum),
    time_at_limit: row.samples === 0 ? null : thousandths(row.limited / row.samples),
    requests: row.requests,
    input_tokens: row.inputTokens,
    output_tokens: row.outputTokens,
    throttles: row.throttles,
  };
}

function callValues({ attempts, completed, throttled, failed, inputTokens, outputTokens }: Calls) {
  return { attempts, completed, throttled, failed, input_tokens: inputTokens, output_tokens: outputTokens };
}

function queueValues(row: Queue, { samples }: Period) {
  const { submitted, completed, failed, cancelled } = row;
  const waited = (share: number) => {
    const ms = percentile(row.waitedMs, share);
    return ms === undefined ? null : thousandths(ms / 1000);
  };
  return {
    ...{ submitted, completed, failed, cancelled },
    waiting: samples === 0 ? null : thousandths(row.waitingSum / samples),
    oldest_waiting_s: samples === 0 ? null : thousandths(row.oldestMaxMs / 1000),
    waited_p50_s: waited(0.5),
    waited_p95_s: waited(0.95),
  };
}

function thousandths(value: number): number {
  return Math.round(value * 1000) / 1000;
}

// ---------------------------------------------------------------- columns

type Values = Record<string, number | null>;

/**
 * Returns a list of values for each name that occurs, and each of its numbers. A period without a record has no values. In
 * a period that has no such row, nothing happened.
 */
function columnsOf<Row extends object, Names extends object, V extends Values>(
  periods: readonly (Period | undefined)[],
  rowsIn: (period: Period) => readonly Row[],
  namesOf: (row: Row) => Names,
  valuesOf: (row: Row, period: Period) => V,
): (Names & Record<keyof V, (number | null)[]>)[] {
  const keyOf = (row: Row) => JSON.stringify(namesOf(row));
  const rows = periods.map((period) => new Map(period && rowsIn(period).map((row) => [keyOf(row), row])));
  const samples = new Map(rows.flatMap((byKey) => [...byKey]));
  return [...samples]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, sample]) => {
      const idle = emptied(sample);
      const values = periods.map((period, i) => period && valuesOf(rows[i]!.get(key) ?? idle, period));
      const names = Object.keys(valuesOf(idle, nothing)) as (keyof V)[];
      const columns = names.map((name) => [name, values.map((of) => of?.[name] ?? null)]);
      return { ...namesOf(sample), ...(Object.fromEntries(columns) as Record<keyof V, (number | null)[]>) };
    });
}

const nothing: Period = { minutes: 0, samples: 0, quotas: [], calls: [], queues: [] };

/** Returns a row in which nothing happened. */
function emptied<Row extends object>(row: Row): Row {
  const zero = (value: unknown) => (typeof value === "number" ? 0 : typeof value === "object" ? {} : value);
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, zero(value)])) as Row;
}
