// What an operator sees first: what waits and why, until when, and what needs attention.
import type { ComponentChildren } from "preact";
import { query } from "../api.ts";
import { count, dollars, duration, number } from "../format.ts";
import { now, snapshot } from "../live.ts";
import { unitOf } from "../names.ts";
import { Badge } from "../parts/badge.tsx";
import { HistoryPlots } from "../parts/history.tsx";
import { DeploymentName, Sentence } from "../parts/names.tsx";
import { Empty, Notice } from "../parts/notice.tsx";
import { OwnJobs } from "../parts/own-jobs.tsx";
import { Pauses } from "../parts/pauses.tsx";
import { QuotaBar } from "../parts/quota-bar.tsx";
import { RecentFailures } from "../parts/recent-failures.tsx";
import { Scroll } from "../parts/scroll.tsx";
import { Time } from "../parts/time.tsx";
import type { Quota, Snapshot, WaitingOn, WaitingRow } from "../resources.ts";
import { to } from "../routes.ts";
import { session } from "../session.ts";
import { useQuery } from "../use-query.ts";
import { useTitle } from "../use-title.ts";

export function OverviewPage() {
  const current = snapshot.value;
  useTitle();
  if (!current) return <p class="empty">Waiting for the first figures…</p>;
  const troubled = current.deployments.filter((one) => one.state !== "in_service");
  return (
    <>
      <h1 class="sr">Overview</h1>
      {current.stats ? <Headline current={current} /> : <OwnJobs />}
      <RecentFailures />
      <Pauses />
      {session.value?.simulator && (
        <Notice>The built-in simulator answers, so no model is called. Everything is real but the texts.</Notice>
      )}
      {troubled.length > 0 && (
        <section aria-label="Deployments that need attention">
          <ul class="plain">
            {troubled.map((one) => (
              <li key={one.id} class="notice bad">
                <Badge state={one.state} />{" "}
                <a href={to("deployments")}>
                  <DeploymentName id={one.id} />
                </a>{" "}
                {one.reason}
                {one.until && (
                  <>
                    {" "}
                    Tried again <Time at={one.until} relative />.
                  </>
                )}
              </li>
            ))}
          </ul>
        </section>
      )}
      <section aria-label="Quotas">
        <h2>Quotas</h2>
        {current.quotas.length === 0 && <Empty>No quota is configured.</Empty>}
        <div class="quotas">
          {current.quotas.map((quota) => (
            <QuotaBar key={quota.name} quota={quota} />
          ))}
        </div>
      </section>
      {current.stats && <Queue current={current} />}
      {session.value?.admin && <HistoryPlots />}
      <Today />
    </>
  );
}

/** One sentence: how much waits, when it starts and ends, and what limits it. */
function Headline({ current }: { current: Snapshot }) {
  const { stats } = current;
  if (!stats) return null;
  if (!stats.scheduler.open) return <p class="headline">The queue is being rebuilt from the store.</p>;
  const waiting = stats.queue.reduce((sum, row) => sum + row.ready + row.delayed, 0);
  const running = stats.running > 0 ? `${number(stats.running)} running` : "none running";
  if (waiting === 0) {
    return (
      <p class="headline">
        Nothing waits, {running}. {inService(current)}
      </p>
    );
  }
  const [first] = stats.queue.filter((row) => row.waiting_on).sort(byWeight);
  const quota = current.quotas.find(({ name }) => name === first?.waiting_on?.quota);
  const nextMs = quota?.next_free_at ? Date.parse(quota.next_free_at) - now.value : 0;
  const ends = stats.models.map(({ empty_at }) => empty_at);
  const last = ends.every((at) => at !== null) ? ends.sort().at(-1) : undefined;
  return (
    <p class="headline">
      {count(waiting, "job")} {waiting === 1 ? "waits" : "wait"}, {running}
      {nextMs > 0 && `; capacity is free again in ${duration(nextMs)}`}
      {last && (
        <>
          ; empty at about <Time at={last} coarse />
        </>
      )}
      {first?.waiting_on && <>; {limitOf(first.waiting_on, quota)}</>}.
    </p>
  );
}

/**
 * Sorts rows by how much they say about the whole queue. A row knows what its oldest job waits for, and one paused tenant
 * says little about the jobs of others.
 */
function byWeight(a: WaitingRow, b: WaitingRow): number {
  const paused = (row: WaitingRow) => Number(row.waiting_on?.kind === "paused");
  return paused(a) - paused(b) || b.ready - a.ready;
}

/** Returns what limits a queue, as the end of a sentence. */
function limitOf({ kind, deployment, quota: name, reason }: WaitingOn, quota: Quota | undefined): ComponentChildren {
  const where = deployment === null ? "the deployment" : <DeploymentName id={deployment} />;
  switch (kind) {
    case "quota":
      return (
        <>
          limited by {quota ? unitOf(quota) : name} of {where}
        </>
      );
    case "concurrency":
      return <>limited by the number of calls at a time of {where}</>;
    case "cool_down":
      return <>{where} is cooling down</>;
    case "out_of_service":
      return <>{where} is out of service</>;
    case "paused":
      return <>the oldest waits because {reason ?? where} is paused</>;
    case "configuration":
      return "no deployment can serve them";
    default:
      return "they may start at any moment";
  }
}

function inService({ deployments }: Snapshot): string {
  const serving = deployments.filter((one) => one.state === "in_service" && !one.paused).length;
  return `${serving} of ${count(deployments.length, "deployment")} in service.`;
}

function Queue({ current }: { current: Snapshot }) {
  const { queue, jobs } = current.stats!;
  const waiting = queue.filter((row) => row.ready + row.delayed > 0);
  return (
    <section aria-label="Queue">
      <h2>Queue</h2>
      {waiting.length === 0 && <Empty>Nothing waits.</Empty>}
      {waiting.length > 0 && (
        <Scroll label="Waiting jobs">
          <table>
            <thead>
              <tr>
                <th scope="col">Model</th>
                <th scope="col">Environment</th>
                <th scope="col">Priority</th>
                <th scope="col" class="n">
                  Ready
                </th>
                <th scope="col" class="n">
                  Delayed
                </th>
                <th scope="col" class="n">
                  Oldest
                </th>
                <th scope="col">What the oldest waits for</th>
              </tr>
            </thead>
            <tbody>
              {waiting.map((row) => (
                <tr key={`${row.environment} ${row.priority} ${row.model}`}>
                  <td>{row.model}</td>
                  <td>{row.environment}</td>
                  <td>
                    <a
                      href={to(
                        `jobs${query({ status: "queued", environment: row.environment, priority: row.priority, model: row.model })}`,
                      )}
                    >
                      {row.priority}
                    </a>
                  </td>
                  <td class="n">{number(row.ready)}</td>
                  <td class="n">{number(row.delayed)}</td>
                  <td class="n">
                    {row.oldest_at ? duration(Math.max(0, now.value - Date.parse(row.oldest_at))) : "–"}
                  </td>
                  <td class="wrap">{row.waiting_on ? <Sentence text={row.waiting_on.message} /> : "its time"}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
      <h2>Jobs by state</h2>
      <Scroll label="Jobs by state">
        <table>
          <thead>
            <tr>
              <th scope="col">Environment</th>
              {states.map((state) => (
                <th key={state} scope="col" class="n">
                  {state.replace("_", " ")}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {Object.entries(jobs).map(([environment, counts]) => (
              <tr key={environment}>
                <td>{environment}</td>
                {states.map((state) => (
                  <td key={state} class="n">
                    <a href={to(`jobs${query({ status: state, environment })}`)}>{number(counts[state])}</a>
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </section>
  );
}

const states = ["queued", "in_progress", "completed", "failed", "cancelled", "expired"] as const;

function Today() {
  const today = new Date(now.value).toISOString().slice(0, 10);
  const usage = useQuery<{ total: { cost_usd: number; jobs: number; input_tokens: number; output_tokens: number } }>(
    `v1/usage${query({ from: today, to: today })}`,
    10_000,
  );
  if (!usage.data) return null;
  const { cost_usd, jobs, input_tokens, output_tokens } = usage.data.total;
  return (
    <p class="quiet">
      Today (UTC): {count(jobs, "job")}, {number(input_tokens)} tokens in, {number(output_tokens)} out,{" "}
      {dollars(cost_usd)}. <a href={to("usage")}>Usage</a>
    </p>
  );
}
