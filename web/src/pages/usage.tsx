// Tokens and dollars by day and by one other part: tenant, key, model or environment.

import { useLocation } from "preact-iso";
import { csvRow } from "../../../src/domain/csv.ts";
import { query as queryOf } from "../api.ts";
import { dollars, number } from "../format.ts";
import { Budgets } from "../parts/budgets.tsx";
import { Empty, Failure, Notice } from "../parts/notice.tsx";
import { type Column, Table } from "../parts/table.tsx";
import { Unpriced } from "../parts/unpriced.tsx";
import { UsagePlots } from "../parts/usage-plots.tsx";
import type { ApiKey, Page } from "../resources.ts";
import { to } from "../routes.ts";
import { session } from "../session.ts";
import { useQuery } from "../use-query.ts";
import { useTitle } from "../use-title.ts";

const groups = ["day", "tenant", "key", "model", "environment"] as const;
type Group = (typeof groups)[number];

interface Row extends Partial<Record<Group, string | null>> {
  jobs: number;
  attempts: number;
  input_tokens: number;
  output_tokens: number;
  cost_usd: number;
  cost_usd_estimated: number;
  /** Calls whose cost is unknown, because their model has no price. */
  attempts_without_price: number;
}

interface Report {
  from: string;
  to: string;
  data: Row[];
  total: Row;
}

const refreshMs = 30_000;

const columns: [key: keyof Row, title: string][] = [
  ["jobs", "Jobs"],
  ["attempts", "Calls"],
  ["input_tokens", "Tokens in"],
  ["output_tokens", "Tokens out"],
];

export function UsagePage() {
  const { query, route } = useLocation();
  const isKnown = query.by === undefined || (groups as readonly string[]).includes(query.by);
  const by = isKnown && query.by !== undefined ? (query.by as Group) : "day";
  const { from, to: until } = query;
  const report = useQuery<Report>(`v1/usage${queryOf({ group_by: by, from, to: until })}`, refreshMs);
  const byDay = useQuery<Report>(
    by === "day" ? undefined : `v1/usage${queryOf({ group_by: `day,${by}`, from, to: until })}`,
    refreshMs,
  );
  const keys = useQuery<Page<ApiKey>>(by === "key" && session.value?.admin ? "v1/keys?limit=200" : undefined);
  const nameOf = (row: Row) => {
    if (by !== "key") return row[by] ?? "";
    return row.key ? (keys.data?.data.find(({ id }) => id === row.key)?.name ?? row.key) : "no key";
  };
  const plotted = by === "day" ? report.data : byDay.data;
  useTitle("Usage");
  const change = (next: Record<string, string | undefined>) => route(to(`usage${queryOf({ ...query, ...next })}`));
  const rows = report.data ? [...report.data.data] : [];
  if (by === "day") rows.reverse();
  else rows.sort((a, b) => b.cost_usd - a.cost_usd || b.output_tokens - a.output_tokens);

  return (
    <>
      <h1>Usage</h1>
      <form class="fields" onSubmit={(event) => event.preventDefault()}>
        <label>
          By
          <select value={by} onChange={({ currentTarget }) => change({ by: currentTarget.value })}>
            {groups.map((group) => (
              <option key={group}>{group}</option>
            ))}
          </select>
        </label>
        <label>
          From
          <input
            type="date"
            value={from ?? report.data?.from ?? ""}
            onChange={({ currentTarget }) => change({ from: currentTarget.value })}
          />
        </label>
        <label>
          To
          <input
            type="date"
            value={until ?? report.data?.to ?? ""}
            onChange={({ currentTarget }) => change({ to: currentTarget.value })}
          />
        </label>
        <button type="button" disabled={rows.length === 0} onClick={() => download(by, rows)}>
          Download CSV
        </button>
      </form>
      {!isKnown && (
        <Notice>
          There is no grouping by “{query.by}”, so this is usage by day. Choose one of {groups.join(", ")}.
        </Notice>
      )}
      <Failure error={report.error} retry={report.reload} />
      {report.data && (
        <p class="headline">
          {dollars(report.data.total.cost_usd)} for {number(report.data.total.jobs)} jobs
          <Unpriced calls={report.data.total.attempts_without_price} />
          <span class="quiet"> (days are UTC)</span>
        </p>
      )}
      {report.data && rows.length === 0 && <Empty>Nothing was used in this period.</Empty>}
      {plotted && rows.length > 0 && (
        <UsagePlots
          from={plotted.from}
          to={plotted.to}
          rows={plotted.data}
          groupOf={by === "day" ? undefined : nameOf}
        />
      )}
      {rows.length > 0 && (
        <Table caption="Usage" columns={tableOf(by, nameOf)} rows={rows} idOf={(row) => row[by] ?? ""} />
      )}
      <Budgets />
    </>
  );
}

function tableOf(by: Group, nameOf: (row: Row) => string): Column<Row>[] {
  return [
    { title: by[0]!.toUpperCase() + by.slice(1), kind: "break", cell: nameOf },
    ...columns.map(([key, title]) => ({
      title,
      kind: "n" as const,
      cell: (row: Row) => number(row[key] as number),
    })),
    {
      title: "Cost",
      kind: "n",
      cell: ({ cost_usd, cost_usd_estimated, attempts_without_price }) => (
        <>
          {dollars(cost_usd)}
          {cost_usd_estimated > 0 && <span class="quiet"> partly estimated</span>}
          <Unpriced calls={attempts_without_price} />
        </>
      ),
    },
  ];
}

function download(by: Group, rows: readonly Row[]): void {
  const header = [by, ...columns.map(([key]) => key), "cost_usd"];
  const lines = rows.map((row) => [row[by], ...columns.map(([key]) => row[key]), row.cost_usd]);
  const url = URL.createObjectURL(new Blob([header, ...lines].map(csvRow), { type: "text/csv" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = "usage.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
