// Batches, newest first, and the upload of a new one.
import { useState } from "preact/hooks";
import { dollars, number } from "../format.ts";
import { BatchBadge } from "../parts/badge.tsx";
import { BatchBar } from "../parts/batch-bar.tsx";
import { BatchUpload } from "../parts/batch-upload.tsx";
import { IdLink } from "../parts/id.tsx";
import { List } from "../parts/list.tsx";
import type { Column } from "../parts/table.tsx";
import { Time } from "../parts/time.tsx";
import type { BatchResource } from "../resources.ts";
import { mayChange } from "../session.ts";
import { openAiPagesOf, usePages } from "../use-pages.ts";

const columns: Column<BatchResource>[] = [
  { title: "Batch", cell: ({ id }) => <IdLink kind="batch" id={id} /> },
  { title: "State", kind: "state", cell: (batch) => <BatchBadge batch={batch} /> },
  { title: "Progress", kind: "wide", cell: (batch) => <BatchBar batch={batch} /> },
  { title: "Lines", kind: "n", cell: (batch) => number(batch.request_counts.total) },
  { title: "Failed", kind: "n", cell: (batch) => number(batch.request_counts.failed) },
  { title: "Environment", cell: ({ environment }) => environment },
  { title: "Created", cell: (batch) => <Time at={batch.created_at * 1000} relative /> },
  {
    title: "Expected end",
    cell: ({ expected_finish: at }) => at && <Time at={at * 1000} relative />,
  },
  { title: "Cost", kind: "n", cell: ({ cost_usd: cost }) => cost !== undefined && dollars(cost) },
];

export function BatchesPage() {
  const pages = usePages(openAiPagesOf<BatchResource>("v1/batches"), (batch) => batch.id);
  const [uploading, setUploading] = useState(false);
  return (
    <>
      <List
        title="Batches"
        pages={pages}
        columns={columns}
        empty="There are no batches. A batch is a JSONL file with one request a line."
        action={
          mayChange() && (
            <button type="button" class="primary" onClick={() => setUploading(true)}>
              Upload a batch
            </button>
          )
        }
      />
      {uploading && <BatchUpload onClose={() => setUploading(false)} />}
    </>
  );
}
