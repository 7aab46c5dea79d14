// The last hour or day as plots: throughput, waiting time, and one for each quota.
import { useState } from "preact/hooks";
import { query } from "../api.ts";
import { duration, short } from "../format.ts";
import { now } from "../live.ts";
import { useQuery } from "../use-query.ts";
import { QuotaName } from "./names.tsx";
import { Failure } from "./notice.tsx";
import { Plot, type Series } from "./plot.tsx";

type Column = (number | null)[];

interface History {
  times: string[];
  quotas: { name: string; used: Column; used_max: Column; effective_limit: Column; configured_limit: Column }[];
  queues: {
    submitted: Column;
    completed: Column;
    failed: Column;
    waiting: Column;
    waited_p50_s: Column;
    waited_p95_s: Column;
  }[];
}

const spans = { hour: 3_600_000, day: 86_400_000 } as const;
type Span = keyof typeof spans;
const refreshMs = 60_000;
const minuteMs = 60_000;

/**
 * Shows the history to admins.
 * @param quotasOnly whether to omit throughput and waiting time; default: false
 */
export function HistoryPlots({ quotasOnly = false }: { quotasOnly?: boolean }) {
  const [span, setSpan] = useState<Span>("hour");
  // The address changes once a minute at most, so that the page does not read at every tick of the clock.
  const from = new Date(Math.floor(now.value / minuteMs) * minuteMs - spans[span]).toISOString();
  const resolution = span === "hour" ? "minute" : "hour";
  const history = useQuery<History>(`v1/history${query({ resolution, from })}`, refreshMs);
  const last = useLast(history.data);
  if (!last) return <Failure error={history.error} retry={history.reload} />;
  const times = last.times.map((at) => Date.parse(at));
  const known = times.some((_, i) =>
    last.queues.some(({ waiting }) => waiting[i] !== null && waiting[i] !== undefined),
  );
  return (
    <section aria-label="History">
      <div class="title">
        <h2>The last {span}</h2>
        <span class="tabs">
          {(Object.keys(spans) as Span[]).map((name) => (
            <button key={name} type="button" class="small" aria-pressed={name === span} onClick={() => setSpan(name)}>
              {name === "hour" ? "Hour" : "Day"}
            </button>
          ))}
        </span>
      </div>
      <Failure error={history.error} />
      {!known && <p class="quiet">The service notes a figure a minute; the first ones appear soon.</p>}
      <div class="plots">
        {!quotasOnly && <Plot title={`Jobs per ${resolution}`} times={times} series={throughputOf(last)} />}
        {!quotasOnly && (
          <Plot title="Waiting time" times={times} series={waitOf(last)} format={(s) => duration(s * 1000)} />
        )}
        {last.quotas.map((quota) => (
          <Plot
            key={quota.name}
            title={<QuotaName name={quota.name} />}
            times={times}
            series={[
              { label: "used", values: quota.used, color: "--bar" },
              { label: "limit in use", values: quota.effective_limit, color: "--bad", limit: true },
              { label: "configured", values: quota.configured_limit, color: "--quiet", limit: true },
            ]}
            format={short}
          />
        ))}
      </div>
    </section>
  );
}

/** Returns the last answer while the next one is read, so that the plots do not vanish for a moment. */
function useLast(data: History | undefined): History | undefined {
  const [last, setLast] = useState(data);
  if (data && data !== last) setLast(data);
  return data ?? last;
}

function throughputOf({ queues }: History): Series[] {
  return [
    { label: "submitted", values: sumOf(queues.map((queue) => queue.submitted)), color: "--quiet" },
    { label: "completed", values: sumOf(queues.map((queue) => queue.completed)), color: "--good" },
    { label: "failed", values: sumOf(queues.map((queue) => queue.failed)), color: "--bad" },
  ];
}

function waitOf({ queues }: History): Series[] {
  return [
    { label: "95 % within", values: mostOf(queues.map((queue) => queue.waited_p95_s)), color: "--warn" },
    { label: "half within", values: mostOf(queues.map((queue) => queue.waited_p50_s)), color: "--bar" },
  ];
}

const sumOf = (columns: Column[]) => combined(columns, (values) => values.reduce((sum, value) => sum + value, 0));
/** The figures of several queues cannot be added up, so the plot shows the slowest one. */
const mostOf = (columns: Column[]) => combined(columns, (values) => Math.max(...values));

function combined(columns: Column[], combine: (values: number[]) => number): Column {
  return (columns[0] ?? []).map((_, i) => {
    const values = columns.flatMap((column) => column[i] ?? []);
    return values.length === 0 ? null : combine(values);
  });
}
