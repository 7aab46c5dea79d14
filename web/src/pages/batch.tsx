// One batch: how far it is, how fast, when it ends, what it costs, what failed and why.

import { useEffect, useRef, useState } from "preact/hooks";
import { useLocation, useRoute } from "preact-iso";
import { base, call, query } from "../api.ts";
import { count, dollars, number, percent } from "../format.ts";
import { BatchBadge, StateSymbol } from "../parts/badge.tsx";
import { BatchBar } from "../parts/batch-bar.tsx";
import { BatchFailures } from "../parts/batch-failures.tsx";
import { Confirm } from "../parts/confirm.tsx";
import { FileErrors } from "../parts/file-errors.tsx";
import { Metadata } from "../parts/metadata.tsx";
import { Sentence } from "../parts/names.tsx";
import { Failure, Missing, Notice } from "../parts/notice.tsx";
import { Time } from "../parts/time.tsx";
import type { BatchResource } from "../resources.ts";
import { to } from "../routes.ts";
import { mayChange } from "../session.ts";
import { useQuery } from "../use-query.ts";
import { useTitle } from "../use-title.ts";

const refreshMs = 2_000;
const over = ["completed", "failed", "cancelled", "expired"];
const hasBatchEnded = ({ status }: BatchResource) => over.includes(status);
const lineStates = ["completed", "failed", "expired", "cancelled", "in_progress", "queued"] as const;

export function BatchPage() {
  const { id = "" } = useRoute().params;
  // Another batch has nothing of this one.
  return <OneBatch key={id} id={id} />;
}

function OneBatch({ id }: { id: string }) {
  const { route } = useLocation();
  const path = `v1/batches/${encodeURIComponent(id)}`;
  const batch = useQuery<BatchResource>(path, refreshMs, hasBatchEnded);
  const [asking, setAsking] = useState<"cancel" | "retry" | undefined>();
  const rate = useRate(batch.data);
  const isOver = batch.data !== undefined && hasBatchEnded(batch.data);
  useTitle("Batch");
  if (!batch.data) {
    return (
      <Missing title="Batch" error={batch.error} retry={batch.reload}>
        <a href={to("batches")}>Go to the batches</a>
      </Missing>
    );
  }
  const { data } = batch;
  const { total, completed, failed } = data.request_counts;
  const done = completed + failed + data.progress.cancelled;
  const retryable = data.progress.failed + data.progress.expired;

  return (
    <>
      <div class="title">
        <h1>
          Batch <code>{data.id.slice(0, 18)}…</code> <BatchBadge batch={data} />
        </h1>
        {mayChange() && (
          <span class="actions">
            {!isOver && data.status !== "cancelling" && (
              <button type="button" class="danger" onClick={() => setAsking("cancel")}>
                Cancel
              </button>
            )}
            {isOver && retryable > 0 && (
              <button type="button" onClick={() => setAsking("retry")}>
                Retry {count(retryable, "line")}
              </button>
            )}
          </span>
        )}
      </div>
      <Failure error={batch.error} />
      {total > 0 && (
        <>
          <p class="headline">
            {number(done)} of {number(total)} lines ({percent(done, total)})
            {rate !== undefined &&
              rate > 0 &&
              !isOver &&
              `, ${rate < 10 ? rate.toFixed(1) : number(Math.round(rate))} a second`}
            {data.expected_finish && (
              <>
                ; should end <Time at={data.expected_finish * 1000} relative />
              </>
            )}
          </p>
          <BatchBar batch={data} />
          <ul class="legend">
            {lineStates
              .filter((state) => data.progress[state] > 0)
              .map((state) => (
                <li key={state}>
                  <span class={`swatch ${state}`} /> <StateSymbol state={state} />
                  {number(data.progress[state])} {state.replace("_", " ")}
                </li>
              ))}
          </ul>
        </>
      )}
      {data.waiting_on && (
        <Notice>
          <Sentence text={data.waiting_on.message} />
        </Notice>
      )}
      <dl class="facts">
        <div>
          <dt>Created</dt>
          <dd>
            <Time at={data.created_at * 1000} relative />
          </dd>
        </div>
        {data.expires_at && !isOver && (
          <div>
            <dt>Time limit</dt>
            <dd>
              {data.completion_window}, ends <Time at={data.expires_at * 1000} relative />
            </dd>
          </div>
        )}
        <div>
          <dt>Environment</dt>
          <dd>{data.environment}</dd>
        </div>
        <div>
          <dt>Endpoint</dt>
          <dd>{data.endpoint}</dd>
        </div>
        {data.cost_usd === undefined && data.cost_usd_so_far !== undefined && (
          <div>
            <dt>Cost so far, expected (estimates)</dt>
            <dd>
              {dollars(data.cost_usd_so_far)}, {dollars(data.cost_usd_expected)}
            </dd>
          </div>
        )}
        {data.cost_usd !== undefined && (
          <div>
            <dt>Cost</dt>
            <dd>{dollars(data.cost_usd)}</dd>
          </div>
        )}
        {data.usage && (
          <div>
            <dt>Tokens</dt>
            <dd>
              {number(data.usage.input_tokens)} in, {number(data.usage.output_tokens)} out
            </dd>
          </div>
        )}
        <Metadata labels={data.metadata} />
      </dl>
      {total > 0 && (
        <p class="actions">
          <a href={new URL(`api/${path}/results`, base).href} download={`${data.id}.jsonl`}>
            {isOver ? "Download all results" : "Download the results so far"}
          </a>
          {data.output_file_id && (
            <a
              href={new URL(`api/v1/files/${data.output_file_id}/content`, base).href}
              download={`${data.id}-output.jsonl`}
            >
              Answers
            </a>
          )}
          {data.error_file_id && (
            <a
              href={new URL(`api/v1/files/${data.error_file_id}/content`, base).href}
              download={`${data.id}-errors.jsonl`}
            >
              Errors
            </a>
          )}
          <a href={to(`jobs${query({ batch: data.id })}`)}>Its jobs</a>
        </p>
      )}
      {data.errors && <FileErrors errors={data.errors.data} />}
      {failed > 0 && <BatchFailures batch={data} isOver={isOver} />}
      {asking && (
        <Confirm
          title={asking === "cancel" ? "Cancel this batch?" : "Retry the failed lines?"}
          action={asking === "cancel" ? "Cancel the batch" : `Retry ${count(retryable, "line")}`}
          danger={asking === "cancel"}
          onClose={() => setAsking(undefined)}
          onConfirm={async () => {
            const answer = await call<BatchResource>(`${path}/${asking}`, { method: "POST" });
            if (asking === "retry") route(to(`batches/${answer.id}`));
            else batch.reload();
          }}
        >
          <p>
            {asking === "cancel"
              ? "Lines that have not started are cancelled. Answers that arrived stay."
              : "They become a new batch. Its results have the same custom ids."}
          </p>
        </Confirm>
      )}
    </>
  );
}

/** Returns lines a second, averaged over the last half minute that the page was open. */
function useRate(batch: BatchResource | undefined): number | undefined {
  const samples = useRef<{ at: number; done: number }[]>([]);
  const done = batch && batch.request_counts.completed + batch.request_counts.failed;
  useEffect(() => {
    if (done === undefined) return;
    samples.current = [...samples.current, { at: Date.now(), done }].slice(-15);
  }, [batch, done]);
  const [first] = samples.current;
  const last = samples.current.at(-1);
  if (!first || !last || last.at - first.at < 1000) return undefined;
  return ((last.done - first.done) / (last.at - first.at)) * 1000;
}
