// Reports usage: tokens, calls and dollars by day, key, environment, model and tenant. The store keeps sums by day,
// key, model and tenant as attempts begin and end. An attempt has at most one end, so a call counts once even if
// something is repeated. It belongs to the UTC day on which it was charged.
import { SluiceError } from "../../domain/errors.ts";
import { addUsage, noUsage, type UsageRow, type UsageSums, usageDay } from "../../domain/usage.ts";
import { type Page, pagesOf } from "../../store/cursor.ts";
import type { UsageQuery } from "../../store/job-store.ts";
import { type Caller, tenantFor } from "../caller.ts";
import type { JobsContext } from "../jobs-context.ts";
import { Slots } from "../slots.ts";

export const usageGroups = ["day", "key", "environment", "model", "tenant"] as const;
export type UsageGroup = (typeof usageGroups)[number];

export interface UsageRequest {
  /** UTC days such as `2030-01-31`, both inclusive. */
  from: string;
  to: string;
  /** The grouping fields. If empty, the result is one sum. */
  groupBy: readonly UsageGroup[];
  /** Only this environment. Absent: all that the caller may see. */
  environment?: string;
  tenant?: string;
  model?: string;
}

export interface UsageGroupSums extends UsageSums {
  /** The values of the requested grouping fields. Null for calls without a key. */
  by: Partial<Record<UsageGroup, string | null>>;
}

type Context = Pick<JobsContext, "settings" | "store" | "clock">;

const dayMs = 86_400_000;
const maxDays = 366;
const maxGroups = 10_000;
/** Sums in one read. It is small, so that other reads of the store do not wait long. */
const rowsAtOnce = 250;

/** Pages that are read at a time, in turn, so that other reads wait for a few pages at most. */
const slots = new Slots(2);

/**
 * Returns the sums, ordered by their grouping fields.
 * @throws SluiceError `invalid_request` (the range, or too many groups)
 */
export async function readUsage(context: Context, request: UsageRequest, caller: Caller): Promise<UsageGroupSums[]> {
  const { groupBy, model } = request;
  const tenant = tenantFor(caller, request.tenant);
  if (tenant === null) return [];
  const days = daysOf(request);
  const groups = new Map<string, UsageGroupSums>();
  for (const environment of environmentsOf(context, request, caller)) {
    const query = { environment, ...days, limit: rowsAtOnce };
    for await (const rows of pagesOf((cursor) => readPage(context, { ...query, cursor }))) {
      for (const { day, ...row } of rows) {
        if (tenant !== undefined && row.tenant !== tenant) continue;
        if (model !== undefined && row.model !== model) continue;
        const all = { day: dayName(day), key: row.keyId ?? null, environment, model: row.model, tenant: row.tenant };
        const key = JSON.stringify(groupBy.map((group) => all[group]));
        let sums = groups.get(key);
        if (!sums) {
          sums = { by: Object.fromEntries(groupBy.map((group) => [group, all[group]])), ...noUsage };
          groups.set(key, sums);
        }
        addUsage(sums, row);
      }
      if (groups.size > maxGroups) throw tooMany();
    }
  }
  return [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, sums]) => sums);
}

async function readPage({ store }: Context, query: UsageQuery): Promise<Page<UsageRow>> {
  const release = await slots.take();
  try {
    return await store.usage(query);
  } finally {
    release();
  }
}

/** Reads the latest sums, so that a store that adds them up itself does so before a request. */
export async function warmUsage({ settings, store, clock }: Context): Promise<void> {
  const today = usageDay(clock.wall());
  for (const environment of Object.keys(settings.environments)) {
    for (const day of [today - 1, today]) await store.usage({ environment, fromDay: day, toDay: day, limit: 1 });
  }
}

function environmentsOf({ settings }: Context, { environment }: UsageRequest, { environments }: Caller): string[] {
  const known = Object.keys(settings.environments);
  const allowed = known.filter((name) => environments?.includes(name) ?? true);
  return environment === undefined ? allowed : allowed.filter((name) => name === environment);
}

function dayName(day: number): string {
  return new Date(day * dayMs).toISOString().slice(0, 10);
}

function daysOf({ from, to }: UsageRequest): { fromDay: number; toDay: number } {
  const fromDay = usageDay(Date.parse(`${from}T00:00:00Z`));
  const toDay = usageDay(Date.parse(`${to}T00:00:00Z`));
  const days = toDay - fromDay + 1;
  if (days < 1)
    throw new SluiceError("invalid_request", `to must not be before from, ${from}; got ${to}.`, { field: "to" });
  if (days > maxDays) {
    throw new SluiceError("invalid_request", `from and to may span at most ${maxDays} days; got ${days}.`, {
      field: "from",
    });
  }
  return { fromDay, toDay };
}

function tooMany(): SluiceError {
  return new SluiceError(
    "invalid_request",
    `The report has more than ${maxGroups} groups. Request fewer days, or group by fewer fields.`,
    { field: "group_by" },
  );
}
