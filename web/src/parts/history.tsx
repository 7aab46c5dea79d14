// The last hour or day as plots: throughput, waiting time and the use of quotas; and what limits were learned.
import type { ComponentChildren } from "preact";
import { useMemo, useState } from "preact/hooks";
import { query } from "../api.ts";
import { duration } from "../format.ts";
import { now } from "../live.ts";
import { quotaWords } from "../names.ts";
import { useQuery } from "../use-query.ts";
import { QuotaName } from "./names.tsx";
import { Failure } from "./notice.tsx";
import { Plot, type Series } from "./plot.tsx";

type Column = (number | null)[];

interface QuotaHistory {
  name: string;
  used: Column;
  used_max: Column;
  effective_limit: Column;
  configured_limit: Column;
  throttles: Column;
}

interface History {
  times: string[];
  quotas: QuotaHistory[];
  queues: {
    submitted: Column;
    completed: Column;
    failed: Column;
    waited_p50_s: Column;
    waited_p95_s: Column;
  }[];
}

const spans = { hour: 3_600_000, day: 86_400_000 } as const;
type Span = keyof typeof spans;
const refreshMs = 60_000;
const minuteMs = 60_000;

/** Throughput, waiting time and the use of each quota. For admins. */
export function QueueHistory() {
  return (
    <HistorySection title="The last">
      {(history, times, period) => (
        <>
          <Plot name="Jobs" title={`Jobs per ${period}`} times={times} series={throughputOf(history)} whole />
          <Plot
            name="Waiting time"
            title="Waiting time"
            times={times}
            series={waitOf(history)}
            format={(s) => duration(s * 1000)}
          />
          {history.quotas.map((quota) => (
            <Plot
              key={quota.name}
              name={`Use of ${quotaWords(quota.name)}`}
              title={<QuotaName name={quota.name} />}
              times={times}
              series={[
                { label: "used", values: quota.used, color: "--bar" },
                { label: "limit in use", values: quota.effective_limit, color: "--bad", limit: true },
              ]}
              whole
            />
          ))}
        </>
      )}
    </HistorySection>
  );
}

/** The limits that Sluice used, next to the most that was used, and when the provider refused calls. For admins. */
export function LimitHistory() {
  return (
    <HistorySection title="Limits in the last">
      {(history, times, period) =>
        history.quotas.flatMap((quota) => {
          const limits: Series[] = [
            { label: "most used", values: quota.used_max, color: "--bar" },
            { label: "limit in use", values: quota.effective_limit, color: "--bad", limit: true },
            { label: "configured", values: quota.configured_limit, color: "--quiet", limit: true },
          ];
          const refused: Series[] = [{ label: "refused calls", values: quota.throttles, color: "--bad" }];
          const wasRefused = quota.throttles.some((calls) => calls !== null && calls > 0);
          return [
            <Plot
              key={quota.name}
              name={`Limits of ${quotaWords(quota.name)}`}
              title={<QuotaName name={quota.name} />}
              times={times}
              series={limits}
              whole
            />,
            wasRefused && (
              <Plot
                key={`${quota.name} refused`}
                name={`Refused calls of ${quotaWords(quota.name)}`}
                title={
                  <>
                    Refused per {period}: <QuotaName name={quota.name} />
                  </>
                }
                times={times}
                series={refused}
                whole
              />
            ),
          ];
        })
      }
    </HistorySection>
  );
}

interface HistorySectionProps {
  /** The beginning of the heading, which ends with `hour` or `day`. */
  title: string;
  /** Returns the plots. */
  children: (history: History, times: number[], period: "minute" | "hour") => ComponentChildren;
}

function HistorySection({ title, children }: HistorySectionProps) {
  const [span, setSpan] = useState<Span>("hour");
  // The address changes once a minute at most, so that the page does not read at every tick of the clock.
  const from = new Date(Math.floor(now.value / minuteMs) * minuteMs - spans[span]).toISOString();
  const resolution = span === "hour" ? "minute" : "hour";
  const history = useQuery<History>(`v1/history${query({ resolution, from })}`, refreshMs);
  const last = useLast(history.data);
  // The plots change with the history, and not with the clock.
  const plots = useMemo(() => {
    if (!last) return undefined;
    return children(
      last,
      last.times.map((at) => Date.parse(at)),
      resolution,
    );
  }, [last]);
  return (
    <section aria-label="History">
      <div class="title">
        <h2>
          {title} {span}
        </h2>
        <span class="tabs">
          {(Object.keys(spans) as Span[]).map((name) => (
            <button key={name} type="button" class="small" aria-pressed={name === span} onClick={() => setSpan(name)}>
              {name === "hour" ? "Hour" : "Day"}
            </button>
          ))}
        </span>
      </div>
      <Failure error={history.error} retry={history.reload} />
      {last?.quotas.length === 0 && (
        <p class="quiet">The service notes figures once a minute. The first ones appear soon.</p>
      )}
      <div class="plots">{plots}</div>
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
    { label: "95% within", values: mostOf(queues.map((queue) => queue.waited_p95_s)), color: "--warn" },
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
