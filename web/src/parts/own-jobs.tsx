// What waits of the caller's own jobs, for callers that do not see the whole queue.
import { query } from "../api.ts";
import { number } from "../format.ts";
import type { Job, JobSummary, Page } from "../resources.ts";
import { to } from "../routes.ts";
import { useQuery } from "../use-query.ts";
import { Sentence } from "./names.tsx";

const refreshMs = 5_000;
const most = 500;

export function OwnJobs() {
  const filter = { status: "queued" };
  const waiting = useQuery<Page<JobSummary>>(`v1/jobs${query({ ...filter, limit: most })}`, refreshMs);
  const oldest = waiting.data?.next_cursor ? undefined : waiting.data?.data.at(-1)?.job_id;
  const job = useQuery<Job>(oldest && `v1/jobs/${oldest}`, refreshMs);
  if (!waiting.data) return null;
  const { data, next_cursor } = waiting.data;
  if (data.length === 0) return <p class="headline">None of your jobs waits.</p>;
  return (
    <p class="headline">
      <a href={to(`jobs${query(filter)}`)}>
        {next_cursor ? "More than " : ""}
        {number(data.length)} of your jobs
      </a>{" "}
      {data.length === 1 ? "waits" : "wait"}.
      {job.data?.waiting_on && (
        <>
          {" "}
          The oldest: <Sentence text={job.data.waiting_on.message} />
        </>
      )}
    </p>
  );
}
