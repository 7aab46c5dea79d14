// What an operator sees first: what waits and why, until when, and what needs attention.
import { type ComponentChildren, Fragment } from "preact";
import { useRef } from "preact/hooks";
import { query } from "../api.ts";
import { count, dollars, duration, number } from "../format.ts";
import { now, snapshot } from "../live.ts";
import { QueueHistory } from "../parts/history.tsx";
import { DeploymentName, Sentence } from "../parts/names.tsx";
import { Empty, Notice } from "../parts/notice.tsx";
import { OwnJobs } from "../parts/own-jobs.tsx";
import { Pauses } from "../parts/pauses.tsx";
import { QuotaBar } from "../parts/quota-bar.tsx";
import { RecentFailures } from "../parts/recent-failures.tsx";
import { type Column, Table } from "../parts/table.tsx";
import { Time } from "../parts/time.tsx";
import { TroubledDeployments } from "../parts/troubled-deployments.tsx";
import { Unpriced } from "../parts/unpriced.tsx";
import { mayStart, type Piece, queueSummary } from "../queue-summary.ts";
import type { Snapshot, Stats, WaitingRow } from "../resources.ts";
import { to } from "../routes.ts";
import { mayChange, session } from "../session.ts";
import { useQuery } from "../use-query.ts";
import { useTitle } from "../use-title.ts";

export function OverviewPage() {
  const current = snapshot.value;
  useTitle();
  if (!current) return <p class="empty">Waiting for the first figures…</p>;
  return (
    <>
      <h1 class="sr">Overview</h1>
      {hasStats(current) ? <Headline current={current} /> : <OwnJobs />}
      <RecentFailures />
      <Pauses />
      {session.value?.simulator && (
        <Notice>The built-in simulator answers, so no model is called. Everything is real but the texts.</Notice>
      )}
      <TroubledDeployments deployments={current.deployments} />
      {current.stats && <Queue stats={current.stats} />}
      <section aria-label="Quotas">
        <h2>Quotas</h2>
        {current.quotas.length === 0 && <Empty>No quota is configured.</Empty>}
        <div class="quotas">
          {current.quotas.map((quota) => (
            <QuotaBar key={quota.name} quota={quota} />
          ))}
        </div>
      </section>
      {session.value?.admin && <QueueHistory />}
      <Today />
    </>
  );
}

/** Callers that are no admins do not see the whole queue. */
function hasStats(current: Snapshot): current is Snapshot & { stats: Stats } {
  return current.stats !== undefined;
}

/** One sentence: how much waits, when it starts and ends, what limits it; and what the operator can do. */
function Headline({ current }: { current: Snapshot & { stats: Stats } }) {
  const startableSince = useRef<number | undefined>(undefined);
  startableSince.current = mayStart(current.stats) ? (startableSince.current ?? now.value) : undefined;
  const startableMs = now.value - (startableSince.current ?? now.value);
  const { sentence, advice } = queueSummary(current, now.value, startableMs);
  return (
    <>
      <p class="headline">
        {sentence.map((piece, i) => (
          <Fragment key={i}>{shown(piece)}</Fragment>
        ))}{" "}
        {inService(current)}
      </p>
      {advice && (mayChange() || !advice.isButton) && (
        <p class="notice warn" role="status">
          {advice.text} {advice.page && <a href={to(advice.page)}>Deployments and quotas</a>}
        </p>
      )}
    </>
  );
}

function shown(piece: Piece): ComponentChildren {
  if (typeof piece === "string") return piece;
  return "at" in piece ? <Time at={piece.at} coarse /> : <DeploymentName id={piece.deployment} />;
}

function inService({ deployments }: Snapshot): string {
  const serving = deployments.filter((one) => one.state === "in_service" && !one.paused).length;
  return serving === deployments.length ? "" : `${serving} of ${count(deployments.length, "deployment")} in service.`;
}

const waitingColumns: Column<WaitingRow>[] = [
  { title: "Model", cell: ({ model }) => model },
  { title: "Environment", cell: ({ environment }) => environment },
  {
    title: "Priority",
    cell: ({ environment, priority, model }) => (
      <a href={to(`jobs${query({ status: "queued", environment, priority, model })}`)}>{priority}</a>
    ),
  },
  { title: "Ready", kind: "n", cell: ({ ready }) => number(ready) },
  { title: "Later", kind: "n", cell: ({ delayed }) => number(delayed) },
  {
    title: "Oldest",
    kind: "n",
    cell: ({ oldest_at: at }) => at && duration(Math.max(0, now.value - Date.parse(at))),
  },
  {
    title: "What the oldest waits for",
    kind: "wrap",
    cell: ({ waiting_on: on }) => (on ? <Sentence text={on.message} /> : "their start time or a retry"),
  },
];

const states = ["queued", "in_progress", "completed", "failed", "cancelled", "expired"] as const;

type StateRow = [environment: string, counts: Stats["jobs"][string]];

const stateColumns: Column<StateRow>[] = [
  { title: "Environment", cell: ([environment]) => environment },
  ...states.map((status): Column<StateRow> => {
    const words = status.replace("_", " ");
    return {
      title: words,
      kind: "n",
      cell: ([environment, counts]) => (
        <a
          href={to(`jobs${query({ status, environment })}`)}
          aria-label={`${number(counts[status])} ${words} in ${environment}`}
        >
          {number(counts[status])}
        </a>
      ),
    };
  }),
];

function Queue({ stats: { queue, jobs } }: { stats: Stats }) {
  const waiting = queue.filter((row) => row.ready + row.delayed > 0);
  return (
    <section aria-label="Queue">
      {waiting.length > 0 && (
        <>
          <h2>Queue</h2>
          <Table
            caption="Waiting jobs"
            columns={waitingColumns}
            rows={waiting}
            idOf={({ environment, priority, model }) => `${environment} ${priority} ${model}`}
          />
        </>
      )}
      <h2>Jobs by state</h2>
      <Table
        caption="Jobs by state"
        columns={stateColumns}
        rows={Object.entries(jobs)}
        idOf={([environment]) => environment}
      />
    </section>
  );
}

interface DayTotal {
  cost_usd: number;
  jobs: number;
  input_tokens: number;
  output_tokens: number;
  attempts_without_price: number;
}

function Today() {
  const today = new Date(now.value).toISOString().slice(0, 10);
  const usage = useQuery<{ total: DayTotal }>(`v1/usage${query({ from: today, to: today })}`, 10_000);
  if (!usage.data) return null;
  const { cost_usd, jobs, input_tokens, output_tokens, attempts_without_price } = usage.data.total;
  return (
    <p class="quiet">
      Today (UTC): {count(jobs, "job")}, {number(input_tokens)} tokens in, {number(output_tokens)} out,{" "}
      {dollars(cost_usd)}
      <Unpriced calls={attempts_without_price} />. <a href={to("usage")}>Usage</a>
    </p>
  );
}
