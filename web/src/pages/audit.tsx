// Who changed what, newest first.

import { useLocation } from "preact-iso";
import { query as queryOf } from "../api.ts";
import { number } from "../format.ts";
import { FilterChips } from "../parts/filter-chips.tsx";
import { IdLink } from "../parts/id.tsx";
import { AdminsOnly, Empty, Failure } from "../parts/notice.tsx";
import { NewRows, PagerButtons, pagesOf, usePages } from "../parts/pager.tsx";
import { Scroll } from "../parts/scroll.tsx";
import { Time } from "../parts/time.tsx";
import { to } from "../routes.ts";
import { session } from "../session.ts";
import { useTitle } from "../use-title.ts";

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

const names = ["action", "key", "target", "from", "to"];

export function AuditPage() {
  const { query, route } = useLocation();
  const filter = Object.fromEntries(
    Object.entries(query).filter(([name, value]) => names.includes(name) && value !== ""),
  );
  const pages = usePages(queryOf(filter), pagesOf<AuditEntry>("v1/audit", filter), (entry) => entry.id);
  useTitle("Audit");
  if (!session.value?.admin) return <AdminsOnly title="Audit" />;
  return (
    <>
      <h1>Audit</h1>
      <FilterChips
        fields={[
          { name: "action", label: "Action" },
          { name: "key", label: "Key" },
          { name: "target", label: "Target" },
          { name: "from", label: "From", time: true },
          { name: "to", label: "To", time: true },
        ]}
        filter={filter}
        onChange={(next) => route(to(`audit${queryOf(next)}`))}
      />
      <Failure error={pages.error} retry={pages.refresh} />
      <NewRows pages={pages} />
      {pages.rows?.length === 0 && <Empty>No change matches.</Empty>}
      {pages.rows && pages.rows.length > 0 && (
        <Scroll label="Changes">
          <table class="list">
            <thead>
              <tr>
                <th scope="col">Time</th>
                <th scope="col">Who</th>
                <th scope="col">Action</th>
                <th scope="col">Target</th>
                <th scope="col">Details</th>
                <th scope="col">Result</th>
              </tr>
            </thead>
            <tbody>
              {pages.rows.map((entry) => (
                <tr key={entry.id}>
                  <td>
                    <Time at={entry.at} />
                  </td>
                  <td title={entry.actor.address ?? undefined}>{whoOf(entry)}</td>
                  <td>{entry.action}</td>
                  <td class="wrap">{entry.target ? <Target {...entry.target} /> : "–"}</td>
                  <td class="wrap">{detailsOf(entry)}</td>
                  <td>{entry.result}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
      <PagerButtons pages={pages} />
    </>
  );
}

function Target({ type, id }: { type: string; id: string }) {
  if (type === "job" || type === "batch") {
    return (
      <>
        {type} <IdLink kind={type} id={id} />
      </>
    );
  }
  return (
    <>
      {type} {id}
    </>
  );
}

function whoOf({ actor }: AuditEntry): string {
  if (actor.key_name !== null) return actor.key_name;
  return actor.key_id ?? actor.kind.replaceAll("_", " ");
}

function detailsOf({ details, count }: AuditEntry): string {
  const parts = Object.entries(details ?? {}).map(
    ([name, value]) => `${name}: ${Array.isArray(value) ? value.join(", ") : value}`,
  );
  return [...(count === null ? [] : [`${number(count)} changed`]), ...parts].join("; ") || "–";
}
