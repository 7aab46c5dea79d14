// Jobs by filter. The filter lives in the address, so a link shows the same list; actions apply to the selected jobs or to
// all that match.

import { useEffect, useState } from "preact/hooks";
import { useLocation } from "preact-iso";
import { query as queryOf } from "../api.ts";
import { Badge } from "../parts/badge.tsx";
import { BulkAction, type BulkKind } from "../parts/bulk-action.tsx";
import { FilterChips, type FilterField } from "../parts/filter-chips.tsx";
import { IdLink } from "../parts/id.tsx";
import { Empty, Failure, Notice } from "../parts/notice.tsx";
import { NewRows, PagerButtons, pagesOf, usePages } from "../parts/pager.tsx";
import { Scroll } from "../parts/scroll.tsx";
import { Time } from "../parts/time.tsx";
import { type JobSummary, priorities, statuses } from "../resources.ts";
import { to } from "../routes.ts";
import { mayChange, session } from "../session.ts";
import { useTitle } from "../use-title.ts";

/** The parameters of the list, as the API and the address name them. Labels are `metadata[name]`. */
const names = [
  "status",
  "error",
  "environment",
  "model",
  "tenant",
  "priority",
  "batch",
  "submitted_after",
  "submitted_before",
];

/** Returns the filter that an address holds. Parameters that the API does not know are ignored. */
function filterOf(parameters: Record<string, string>): Record<string, string> {
  const known = Object.entries(parameters).filter(([name]) => names.includes(name) || /^metadata\[.+\]$/.test(name));
  return Object.fromEntries(known.filter(([, value]) => value !== ""));
}

const states: Record<BulkKind, readonly string[]> = {
  cancel: ["queued", "in_progress"],
  retry: ["failed", "cancelled", "expired"],
  change: ["queued"],
};

/** Returns whether an action can apply to jobs of a state, or of any state if the filter names none. */
function mayApply(kind: BulkKind, status: string | undefined): boolean {
  return status === undefined || states[kind].includes(status);
}

export function JobsPage() {
  const { query, route } = useLocation();
  const filter = filterOf(query);
  const pages = usePages(queryOf(filter), pagesOf<JobSummary>("v1/jobs", filter), (job) => job.job_id);
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const [action, setAction] = useState<BulkKind | undefined>();
  const address = queryOf(filter);
  useTitle("Jobs");
  useEffect(() => setSelected(new Set()), [address]);

  const { environments = [], models = [], admin = false } = session.value ?? {};
  const fields: FilterField[] = [
    { name: "status", label: "State", options: statuses },
    { name: "error", label: "Error code" },
    { name: "environment", label: "Environment", options: environments },
    { name: "model", label: "Model", options: models },
    { name: "priority", label: "Priority", options: priorities },
    ...(admin ? [{ name: "tenant", label: "Tenant" }] : []),
    { name: "batch", label: "Batch" },
    { name: "submitted_after", label: "Submitted after", time: true },
    { name: "submitted_before", label: "Submitted before", time: true },
    { name: "metadata", label: "Label", pair: true },
  ];
  const [id, setId] = useState("");
  const [done, setDone] = useState("");
  const ignored = Object.keys(query).filter((name) => !Object.hasOwn(filter, name) && query[name] !== "");
  const change = (next: Record<string, string>) => route(to(`jobs${queryOf(next)}`));
  const toggle = (id: string) => {
    const next = new Set(selected);
    if (!next.delete(id)) next.add(id);
    setSelected(next);
  };
  const rows = pages.rows ?? [];
  const allShown = rows.length > 0 && rows.every((job) => selected.has(job.job_id));

  return (
    <>
      <h1>Jobs</h1>
      <form
        class="actions"
        onSubmit={(event) => {
          event.preventDefault();
          if (id.trim() !== "") route(to(`jobs/${encodeURIComponent(id.trim())}`));
        }}
      >
        <input
          aria-label="Job id"
          placeholder="Job id"
          value={id}
          onInput={({ currentTarget }) => setId(currentTarget.value)}
        />
        <button type="submit" disabled={id.trim() === ""}>
          Go to the job
        </button>
      </form>
      <FilterChips fields={fields} filter={filter} onChange={change} />
      {ignored.length > 0 && (
        <Notice kind="bad">
          The address has parts that are no filter: {ignored.join(", ")}. The list is not filtered by them.
        </Notice>
      )}
      {done !== "" && <Notice kind="good">{done}</Notice>}
      <Failure error={pages.error} retry={pages.refresh} />
      {mayChange() && (
        <div class="actions">
          <span class="quiet">
            {selected.size > 0
              ? `${selected.size} selected`
              : Object.keys(filter).length > 0
                ? "All that match"
                : "Select jobs or set a filter to change them"}
          </span>
          {(["cancel", "retry", "change"] as const).map((kind) => (
            <button
              key={kind}
              type="button"
              disabled={selected.size === 0 && (Object.keys(filter).length === 0 || !mayApply(kind, filter.status))}
              onClick={() => setAction(kind)}
            >
              {{ cancel: "Cancel…", retry: "Retry…", change: "Change priority…" }[kind]}
            </button>
          ))}
        </div>
      )}
      <NewRows pages={pages} />
      {pages.rows?.length === 0 && (
        <Empty>
          {Object.keys(filter).length > 0 ? "No job matches this filter." : "There are no jobs yet."}{" "}
          {Object.keys(filter).length === 0 && <a href={to("playground")}>Submit one in the playground</a>}
        </Empty>
      )}
      {rows.length > 0 && (
        <Scroll label="Jobs">
          <table class="list">
            <thead>
              <tr>
                {mayChange() && (
                  <th scope="col" class="check">
                    <input
                      type="checkbox"
                      aria-label="Select all shown"
                      checked={allShown}
                      onChange={() => setSelected(allShown ? new Set() : new Set(rows.map((job) => job.job_id)))}
                    />
                  </th>
                )}
                <th scope="col">Job</th>
                <th scope="col">State</th>
                <th scope="col">Environment</th>
                <th scope="col">Model</th>
                <th scope="col">Priority</th>
                {admin && <th scope="col">Tenant</th>}
                <th scope="col">Submitted</th>
                <th scope="col">Ended</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((job) => (
                <tr key={job.job_id}>
                  {mayChange() && (
                    <td class="check">
                      <input
                        type="checkbox"
                        aria-label={`Select ${job.job_id}`}
                        checked={selected.has(job.job_id)}
                        onChange={() => toggle(job.job_id)}
                      />
                    </td>
                  )}
                  <td>
                    <IdLink kind="job" id={job.job_id} />
                  </td>
                  <td>
                    <Badge state={job.status} />
                    {job.error && (
                      <span class="quiet" title={job.error.message}>
                        {" "}
                        {job.error.code}
                      </span>
                    )}
                  </td>
                  <td>{job.environment}</td>
                  <td>{job.model}</td>
                  <td>{job.priority}</td>
                  {admin && <td>{job.tenant}</td>}
                  <td>
                    <Time at={job.created_at} />
                  </td>
                  <td>
                    <Time at={job.finished_at} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
      <PagerButtons pages={pages} />
      {action && (
        <BulkAction
          kind={action}
          filter={filter}
          selected={[...selected]}
          onClose={() => setAction(undefined)}
          onDone={(what) => {
            setDone(what);
            setSelected(new Set());
            pages.refresh();
          }}
        />
      )}
    </>
  );
}
