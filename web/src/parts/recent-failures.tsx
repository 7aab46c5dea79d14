// The jobs that failed in the last hour, by error, so that failures are not missed while the queue looks healthy.
import { query } from "../api.ts";
import { failureGroups } from "../failure-groups.ts";
import { number } from "../format.ts";
import { now } from "../live.ts";
import type { JobSummary, Page } from "../resources.ts";
import { to } from "../routes.ts";
import { useQuery } from "../use-query.ts";
import { Time } from "./time.tsx";

const hourMs = 3_600_000;
const stepMs = 300_000;
const refreshMs = 15_000;
const most = 500;

export function RecentFailures() {
  // The start moves in steps, so that the same list is read again and not a new one at every tick.
  const since = new Date(Math.floor(now.value / stepMs) * stepMs - hourMs).toISOString();
  const filter = { status: "failed", submitted_after: since };
  const failed = useQuery<Page<JobSummary>>(`v1/jobs${query({ ...filter, limit: most })}`, refreshMs);
  const jobs = failed.data?.data ?? [];
  if (jobs.length === 0) return null;
  const more = failed.data?.next_cursor ? "more than " : "";
  return (
    <p class="notice bad" role="status">
      <a href={to(`jobs${query(filter)}`)}>
        {/* One text: an empty one would be written again at every tick, and this is a live region. */}
        {`${more}${number(jobs.length)} failed`}
      </a>{" "}
      of the jobs submitted since <Time at={since} coarse />:{" "}
      {failureGroups(jobs).map(({ code, jobs: count }, i) => (
        <span key={code}>
          {i > 0 && ", "}
          {number(count)} <a href={to(`jobs${query({ ...filter, error: code })}`)}>{code}</a>
        </span>
      ))}
      .
    </p>
  );
}
