// Ids of jobs and batches. The middle is hidden by the style, so that the whole id is read, found and copied.
import { to } from "../routes.ts";

function Id({ id }: { id: string }) {
  return (
    <code class="id" title={id}>
      {id.slice(0, 5)}
      <span>{id.slice(5, -12)}</span>
      {id.slice(-12)}
    </code>
  );
}

/** A link to a job or a batch that says where it leads. */
export function IdLink({ kind, id }: { kind: "job" | "batch"; id: string }) {
  return (
    <a href={to(`${kind === "job" ? "jobs" : "batches"}/${id}`)} aria-label={`${kind} ${id}`}>
      <Id id={id} />
    </a>
  );
}
