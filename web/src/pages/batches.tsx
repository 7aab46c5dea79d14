// Batches, newest first, and the upload of a new one.
import { useState } from "preact/hooks";
import { dollars, number } from "../format.ts";
import { Badge } from "../parts/badge.tsx";
import { BatchBar } from "../parts/batch-bar.tsx";
import { BatchUpload } from "../parts/batch-upload.tsx";
import { IdLink } from "../parts/id.tsx";
import { Empty, Failure } from "../parts/notice.tsx";
import { NewRows, openAiPagesOf, PagerButtons, usePages } from "../parts/pager.tsx";
import { Scroll } from "../parts/scroll.tsx";
import { Time } from "../parts/time.tsx";
import type { BatchResource } from "../resources.ts";
import { mayChange } from "../session.ts";
import { useTitle } from "../use-title.ts";

export function BatchesPage() {
  const pages = usePages("batches", openAiPagesOf<BatchResource>("v1/batches"), (batch) => batch.id);
  const [uploading, setUploading] = useState(false);
  useTitle("Batches");
  return (
    <>
      <div class="title">
        <h1>Batches</h1>
        {mayChange() && (
          <button type="button" class="primary" onClick={() => setUploading(true)}>
            Upload a batch
          </button>
        )}
      </div>
      <Failure error={pages.error} retry={pages.refresh} />
      <NewRows pages={pages} />
      {pages.rows?.length === 0 && (
        <Empty>There are no batches. A batch is a JSONL file with one request a line.</Empty>
      )}
      {pages.rows && pages.rows.length > 0 && (
        <Scroll label="Batches">
          <table class="list">
            <thead>
              <tr>
                <th scope="col">Batch</th>
                <th scope="col">State</th>
                <th scope="col">Progress</th>
                <th scope="col" class="n">
                  Lines
                </th>
                <th scope="col" class="n">
                  Failed
                </th>
                <th scope="col">Environment</th>
                <th scope="col">Created</th>
                <th scope="col">Expected end</th>
                <th scope="col" class="n">
                  Cost
                </th>
              </tr>
            </thead>
            <tbody>
              {pages.rows.map((batch) => (
                <tr key={batch.id}>
                  <td>
                    <IdLink kind="batch" id={batch.id} />
                  </td>
                  <td>
                    <Badge state={batch.status} />
                  </td>
                  <td class="wide">
                    <BatchBar batch={batch} />
                  </td>
                  <td class="n">{number(batch.request_counts.total)}</td>
                  <td class="n">{number(batch.request_counts.failed)}</td>
                  <td>{batch.environment}</td>
                  <td>
                    <Time at={batch.created_at * 1000} relative />
                  </td>
                  <td>
                    <Time at={batch.expected_finish && batch.expected_finish * 1000} relative />
                  </td>
                  <td class="n">{dollars(batch.cost_usd)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
      <PagerButtons pages={pages} />
      {uploading && <BatchUpload onClose={() => setUploading(false)} onDone={pages.refresh} />}
    </>
  );
}
