// What is used of the limits of keys, and when each is used up if use goes on as until now.
import { dollars, number, percent } from "../format.ts";
import { now } from "../live.ts";
import type { ApiKey, Page } from "../resources.ts";
import { session } from "../session.ts";
import { periodOf, usedUpAt } from "../usage-days.ts";
import { useQuery } from "../use-query.ts";
import { Failure } from "./notice.tsx";
import { type Column, Table } from "./table.tsx";
import { Time } from "./time.tsx";

const refreshMs = 30_000;
const mostKeys = 200;

interface Budget {
  owner: ApiKey;
  per: "day" | "month";
  limit: number;
  used: number;
  /** The part of `used` that unfinished jobs reserve. */
  reserved: number;
  format: (amount: number) => string;
}

const columns: Column<Budget>[] = [
  { title: "Key", kind: "break", cell: ({ owner }) => owner.name },
  { title: "Tenant", kind: "break", cell: ({ owner }) => owner.tenant },
  { title: "Used", kind: "n", cell: ({ used, format }) => format(used) },
  { title: "Limit", kind: "n", cell: ({ limit, per, format }) => `${format(limit)} a ${per}` },
  { title: "Share", kind: "wide", cell: (budget) => <Share {...budget} /> },
  { title: "At this rate used up", cell: (budget) => <UsedUp {...budget} /> },
];

/** Shows an admin the limits of all keys, and others those of their own. */
export function Budgets() {
  const { admin = false, key_id = null } = session.value ?? {};
  const all = useQuery<Page<ApiKey>>(admin ? `v1/keys?limit=${mostKeys}` : undefined, refreshMs);
  const own = useQuery<ApiKey>(!admin && key_id ? "v1/keys/self" : undefined, refreshMs);
  const keys = all.data?.data ?? (own.data ? [own.data] : []);
  const budgets = keys.filter((key) => key.revoked_at === null).flatMap(budgetsOf);
  if (budgets.length === 0) return <Failure error={all.error ?? own.error} />;
  return (
    <>
      <h2>Budgets</h2>
      <Table caption="Budgets" columns={columns} rows={budgets} idOf={({ owner, per }) => `${owner.id} ${per}`} />
      <p class="quiet">Days and months are UTC. What unfinished jobs reserve counts as used.</p>
      {all.data?.next_cursor && <p class="quiet">Of the latest {mostKeys} keys.</p>}
    </>
  );
}

function Share({ limit, used, reserved }: Budget) {
  const width = (amount: number) => `${Math.min(100, (amount / Math.max(limit, used)) * 100)}%`;
  return (
    <>
      <svg class="bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
        <rect class="track" width="100" height="6" />
        <rect class="settled" width={width(used - reserved)} height="6" />
        <rect class="reserved" x={width(used - reserved)} width={width(reserved)} height="6" />
      </svg>
      {percent(used, limit)}
    </>
  );
}

function UsedUp({ per, limit, used }: Budget) {
  const at = usedUpAt(used, limit, periodOf(per, now.value), now.value);
  if (at === undefined) return <>not this {per}</>;
  return at <= now.value ? <strong>used up</strong> : <Time at={at} coarse />;
}

function budgetsOf(key: ApiKey): Budget[] {
  const { used, daily_tokens, budget_usd } = key;
  if (!used) return [];
  return [
    ...(daily_tokens === null
      ? []
      : [
          {
            ...{ owner: key, per: "day" as const, limit: daily_tokens, reserved: used.tokens_reserved },
            used: used.tokens_today + used.tokens_reserved,
            format: (tokens: number) => `${number(tokens)} tokens`,
          },
        ]),
    ...(budget_usd === null
      ? []
      : [
          {
            ...{ owner: key, per: "month" as const, limit: budget_usd, reserved: used.usd_reserved },
            used: used.usd_this_month + used.usd_reserved,
            format: dollars,
          },
        ]),
  ];
}
