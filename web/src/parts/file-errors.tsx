// Why the file of a batch was refused: errors with the same words in one row, and few rows.
import { type LineErrors, lineErrors } from "../batch-state.ts";
import { count, number } from "../format.ts";
import type { BatchResource } from "../resources.ts";
import { type Column, Table } from "./table.tsx";

const mostRows = 20;
/** The service stops its check after this many errors. */
const mostErrors = 100;

const columns: Column<LineErrors>[] = [
  { title: "Where", cell: ({ lines }) => lines },
  { title: "Field", kind: "break", cell: ({ param }) => param },
  { title: "Error", kind: "text", cell: ({ message }) => message },
];

export function FileErrors({ errors }: { errors: NonNullable<BatchResource["errors"]>["data"] }) {
  const groups = lineErrors(errors);
  const more = groups.slice(mostRows).reduce((sum, group) => sum + group.count, 0);
  const isBinary = errors.some(({ line, message }) => line === 1 && message.includes("UTF-8"));
  return (
    <>
      <h2>Errors in the file</h2>
      <p>
        {isBinary
          ? "This is not a text file. A batch is a JSONL file: one request a line, in UTF-8."
          : "No job was created. Correct the file and upload it again."}
      </p>
      <Table
        caption="Errors in the file"
        columns={columns}
        rows={groups.slice(0, mostRows)}
        idOf={({ param, message }) => `${param} ${message}`}
      />
      {more > 0 && <p>And {count(more, "other error")}.</p>}
      {errors.length >= mostErrors && (
        <p class="quiet">The check stopped after {number(mostErrors)} errors. There may be more.</p>
      )}
    </>
  );
}
