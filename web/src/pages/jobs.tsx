// Jobs by filter. The filter lives in the address, so a link shows the same list; actions apply to the selected jobs or to
// all that match.

import { useEffect, useState } from "preact/hooks";
import { useLocation } from "preact-iso";
import { query as queryOf } from "../api.ts";
import { number } from "../format.ts";
import { Badge } from "../parts/badge.tsx";
import { BulkAction, type BulkKind } from "../parts/bulk-action.tsx";
import { FilterChips } from "../parts/filter-chips.tsx";
import { IdLink } from "../parts/id.tsx";
import { List } from "../parts/list.tsx";
import type { Column } from "../parts/table.tsx";
import { Time } from "../parts/time.tsx";
import { type JobSummary, priorities, type Session, statuses } from "../resources.ts";
import { to } from "../routes.ts";
import { mayChange, session } from "../session.ts";
import { type FilterField, useFilter } from "../use-filter.ts";
import { pagesOf, usePages } from "../use-pages.ts";

const states: Record<BulkKind, readonly string[]> = {
  cancel: ["queued", "in_progress"],
  retry: ["failed", "cancelled", "expired"],
  change: ["queued"],
};

/** Returns whether an action can apply to jobs of a state, or of any state if the filter names none. */
function mayApply(kind: BulkKind, status: string | undefined): boolean {
  return status === undefined || states[kind].includes(status);
}

const columns: Column<JobSummary>[] = [
  {
    title: "State",
    kind: "state",
    cell: ({ status, error }) => (
      <>
        <Badge state={status} />
        {error && (
          <span class="quiet" title={error.message}>
            {" "}
            {error.code}
          </span>
        )}
      </>
    ),
  },
  { title: "Environment", cell: ({ environment }) => environment },
  { title: "Model", cell: ({ model }) => model },
  { title: "Priority", cell: ({ priority }) => priority },
];
const times: Column<JobSummary>[] = [
  { title: "Submitted", cell: (job) => <Time at={job.created_at} /> },
  { title: "Ended", cell: ({ finished_at: at }) => at && <Time at={at} /> },
];
const tenant: Column<JobSummary> = { title: "Tenant", kind: "break", cell: (job) => job.tenant };

/** Returns the fields by which the caller may filter. */
function fieldsOf({ environments, models, admin }: Session): FilterField[] {
  return [
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
}

export function JobsPage() {
  const filter = useFilter(fieldsOf(session.value!));
  const { values } = filter;
  const pages = usePages(pagesOf<JobSummary>("v1/jobs", values), (job) => job.job_id);
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const [action, setAction] = useState<BulkKind | undefined>();
  const [done, setDone] = useState("");
  useEffect(() => setSelected(new Set()), [queryOf(values)]);

  const toggle = (id: string) => {
    const next = new Set(selected);
    if (!next.delete(id)) next.add(id);
    setSelected(next);
  };
  const rows = pages.rows ?? [];
  const allShown = rows.length > 0 && rows.every((job) => selected.has(job.job_id));
  const filtered = Object.keys(values).length > 0;
  const name: Column<JobSummary> = {
    title: "Job",
    cell: ({ job_id: id }) => (
      <>
        {mayChange() && (
          <input
            type="checkbox"
            aria-label={`Select job ${id}`}
            checked={selected.has(id)}
            onChange={() => toggle(id)}
          />
        )}{" "}
        <IdLink kind="job" id={id} />
      </>
    ),
  };

  return (
    <>
      <List
        title="Jobs"
        pages={pages}
        columns={[name, ...columns, ...(session.value?.admin ? [tenant] : []), ...times]}
        done={done}
        empty={
          filtered ? (
            "No job matches this filter."
          ) : (
            <>
              There are no jobs yet. <a href={to("playground")}>Submit one in the playground</a>
            </>
          )
        }
        action={<GoToJob />}
      >
        <FilterChips filter={filter} />
        {mayChange() && (
          <div class="actions">
            <label class="inline">
              <input
                type="checkbox"
                checked={allShown}
                disabled={rows.length === 0}
                onChange={() => setSelected(allShown ? new Set() : new Set(rows.map((job) => job.job_id)))}
              />
              Select all shown
            </label>
            <span class="quiet">
              {selected.size > 0
                ? `${number(selected.size)} selected`
                : filtered
                  ? "All that match:"
                  : "Select jobs or set a filter to change them"}
            </span>
            {(["cancel", "retry", "change"] as const).map((kind) => (
              <button
                key={kind}
                type="button"
                disabled={selected.size === 0 && (!filtered || !mayApply(kind, values.status))}
                onClick={() => setAction(kind)}
              >
                {{ cancel: "Cancel…", retry: "Retry…", change: "Change priority…" }[kind]}
              </button>
            ))}
          </div>
        )}
      </List>
      {action && (
        <BulkAction
          kind={action}
          filter={values}
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

/** Opens a job by its id. */
function GoToJob() {
  const { route } = useLocation();
  const [id, setId] = useState("");
  return (
    <form
      class="go"
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
  );
}
