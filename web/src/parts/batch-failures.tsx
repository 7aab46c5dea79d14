// Failed lines of a batch by error, each with an example and a button to retry them.
import { useState } from "preact/hooks";
import { query } from "../api.ts";
import { type FailureGroup, failureGroups } from "../failure-groups.ts";
import { number } from "../format.ts";
import type { BatchResource, JobSummary, Page } from "../resources.ts";
import { to } from "../routes.ts";
import { mayChange } from "../session.ts";
import { useQuery } from "../use-query.ts";
import { BulkAction } from "./bulk-action.tsx";
import { IdLink } from "./id.tsx";
import { LongText } from "./long-text.tsx";
import { Failure, Notice } from "./notice.tsx";
import { type Column, Table } from "./table.tsx";

const refreshMs = 5_000;
/** Failed lines that are read to group them. */
const most = 1000;

export function BatchFailures({ batch, isOver }: { batch: BatchResource; isOver: boolean }) {
  const everyMs = isOver ? undefined : refreshMs;
  const pathOf = (status: "failed" | "expired") =>
    batch.progress[status] > 0 ? `v1/jobs${query({ batch: batch.id, status, limit: most })}` : undefined;
  const failed = useQuery<Page<JobSummary>>(pathOf("failed"), everyMs);
  const expired = useQuery<Page<JobSummary>>(pathOf("expired"), everyMs);
  const [retrying, setRetrying] = useState<string | undefined>();
  const [done, setDone] = useState<string | undefined>();
  const pages = [failed, expired].flatMap(({ data }) => data ?? []);
  const groups = failureGroups(pages.flatMap(({ data }) => data)).sort((a, b) => b.jobs - a.jobs);
  const columns: Column<FailureGroup>[] = [
    {
      title: "Error",
      cell: ({ code }) => (
        <a href={to(`jobs${query({ batch: batch.id, error: code })}`)}>
          <code>{code}</code>
        </a>
      ),
    },
    { title: "Lines", kind: "n", cell: ({ jobs }) => number(jobs) },
    { title: "Example", cell: ({ example }) => <IdLink kind="job" id={example.job_id} /> },
    {
      title: "Its error",
      kind: "text",
      cell: ({ example }) => example.error && <LongText text={example.error.message} />,
    },
  ];
  const actions: Column<FailureGroup> = {
    title: "Actions",
    cell: ({ code }) => (
      <button
        type="button"
        class="small"
        aria-label={`Retry ${code}`}
        onClick={() => {
          setDone(undefined);
          setRetrying(code);
        }}
      >
        Retry these…
      </button>
    ),
  };
  return (
    <>
      <h2>Failures</h2>
      <Failure error={failed.error ?? expired.error} />
      {pages.some(({ next_cursor }) => next_cursor) && (
        <p class="quiet">The latest {number(most)} failed lines, by error:</p>
      )}
      {done && (
        <Notice kind="good">{done} They are jobs of their own. The files of this batch stay as they are.</Notice>
      )}
      <Table
        caption="Failures"
        columns={mayChange() ? [...columns, actions] : columns}
        rows={groups}
        idOf={({ code }) => code}
      />
      {retrying && (
        <BulkAction
          kind="retry"
          filter={{ batch: batch.id, error: retrying }}
          selected={[]}
          onClose={() => setRetrying(undefined)}
          onDone={setDone}
        />
      )}
    </>
  );
}
