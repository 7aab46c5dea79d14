// Who changed what, newest first.
import { type ComponentChildren, Fragment } from "preact";
import { number } from "../format.ts";
import { FilterChips } from "../parts/filter-chips.tsx";
import { IdLink } from "../parts/id.tsx";
import { List } from "../parts/list.tsx";
import { DeploymentName } from "../parts/names.tsx";
import { AdminsOnly } from "../parts/notice.tsx";
import type { Column } from "../parts/table.tsx";
import { Time } from "../parts/time.tsx";
import { session } from "../session.ts";
import { type FilterField, useFilter } from "../use-filter.ts";
import { pagesOf, usePages } from "../use-pages.ts";

interface AuditEntry {
  id: string;
  at: string;
  actor: {
    kind: string;
    key_id: string | null;
    key_name: string | null;
    tenant: string | null;
    address: string | null;
  };
  action: string;
  target: { type: string; id: string } | null;
  details: Record<string, unknown> | null;
  count: number | null;
  result: string;
}

const fields: FilterField[] = [
  { name: "action", label: "Action" },
  { name: "key", label: "Key" },
  { name: "target", label: "Target" },
  { name: "from", label: "From", time: true },
  { name: "to", label: "To", time: true },
];

const columns: Column<AuditEntry>[] = [
  { title: "Time", cell: ({ at }) => <Time at={at} /> },
  { title: "Who", cell: (entry) => <span title={entry.actor.address ?? undefined}>{whoOf(entry)}</span> },
  { title: "Action", cell: ({ action }) => action },
  { title: "Target", kind: "text", cell: ({ target }) => target && <Target {...target} /> },
  { title: "Details", kind: "text", cell: detailsOf },
  { title: "Result", cell: ({ result }) => result },
];

export function AuditPage() {
  return session.value?.admin ? <Audit /> : <AdminsOnly title="Audit" />;
}

function Audit() {
  const filter = useFilter(fields);
  const pages = usePages(pagesOf<AuditEntry>("v1/audit", filter.values), (entry) => entry.id);
  return (
    <List title="Audit" pages={pages} columns={columns} empty="No change matches.">
      <FilterChips filter={filter} />
    </List>
  );
}

function Target({ type, id }: { type: string; id: string }) {
  if (type === "deployment") return <DeploymentName id={id} />;
  return (
    <>
      {type} {type === "job" || type === "batch" ? <IdLink kind={type} id={id} /> : id}
    </>
  );
}

function whoOf({ actor }: AuditEntry): string {
  if (actor.key_name !== null) return actor.key_name;
  return actor.key_id ?? actor.kind.replaceAll("_", " ");
}

function detailsOf({ details, count }: AuditEntry): ComponentChildren {
  const parts = Object.entries(details ?? {}).map(([name, value]) => (
    <>
      {name}: <bdi>{Array.isArray(value) ? value.join(", ") : String(value)}</bdi>
    </>
  ));
  const all = count === null ? parts : [`${number(count)} changed`, ...parts];
  if (all.length === 0) return null;
  return all.map((part, i) => (
    <Fragment key={i}>
      {i > 0 && "; "}
      {part}
    </Fragment>
  ));
}
