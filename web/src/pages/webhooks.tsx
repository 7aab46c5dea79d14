// Webhook deliveries: where each went, what the receiver answered, and delivering one again.
import { useState } from "preact/hooks";
import { call } from "../api.ts";
import { focusHeading } from "../focus.ts";
import { duration } from "../format.ts";
import { Badge } from "../parts/badge.tsx";
import { FilterChips } from "../parts/filter-chips.tsx";
import { IdLink } from "../parts/id.tsx";
import { List } from "../parts/list.tsx";
import { Failure } from "../parts/notice.tsx";
import type { Column } from "../parts/table.tsx";
import { Time } from "../parts/time.tsx";
import { mayChange } from "../session.ts";
import { type FilterField, useFilter } from "../use-filter.ts";
import { pagesOf, usePages } from "../use-pages.ts";

interface Delivery {
  id: string;
  status: string;
  job_id: string | null;
  batch_id: string | null;
  environment: string;
  tenant: string;
  url: string;
  created_at: string;
  next_attempt_at: string | null;
  attempts: {
    number: number;
    started_at: string;
    result: string;
    status_code: number | null;
    error: string | null;
    duration_ms: number | null;
  }[];
}

const fields: FilterField[] = [
  { name: "status", label: "State", options: ["waiting", "pending", "delivered", "failed"] },
  { name: "job", label: "Job" },
  { name: "batch", label: "Batch" },
];

const columns: Column<Delivery>[] = [
  { title: "For", cell: Subject },
  { title: "State", kind: "state", cell: ({ status }) => <Badge state={status} /> },
  { title: "Address", kind: "text", cell: ({ url }) => url },
  { title: "Attempts", kind: "n", cell: ({ attempts }) => attempts.length },
  { title: "Last answer", kind: "wrap", cell: LastAnswer },
  { title: "Next attempt", cell: ({ next_attempt_at: at }) => at && <Time at={at} relative /> },
];

export function WebhooksPage() {
  const filter = useFilter(fields);
  const pages = usePages(pagesOf<Delivery>("v1/webhooks/deliveries", filter.values), (delivery) => delivery.id);
  const [error, setError] = useState<unknown>();
  const [done, setDone] = useState("");

  async function redeliver({ id, url }: Delivery): Promise<void> {
    setError(undefined);
    setDone("");
    try {
      await call(`v1/webhooks/deliveries/${id}/redeliver`, { method: "POST" });
      setDone(`Sluice delivers to ${url} again.`);
      focusHeading();
      pages.refresh();
    } catch (reason) {
      setError(reason);
    }
  }

  const actions: Column<Delivery> = {
    title: "Actions",
    // The first attempt follows by itself within seconds.
    cell: (delivery) => {
      if (delivery.attempts.length === 0) return null;
      const verb = delivery.status === "pending" ? "Deliver now" : "Deliver again";
      return (
        <button
          type="button"
          class="small"
          aria-label={`${verb}: ${delivery.job_id ?? delivery.batch_id}`}
          onClick={() => redeliver(delivery)}
        >
          {verb}
        </button>
      );
    },
  };
  return (
    <List
      title="Webhook deliveries"
      pages={pages}
      columns={mayChange() ? [...columns, actions] : columns}
      done={done}
      empty="There are no deliveries. Set webhook_url in a job or a batch, and Sluice posts its end there."
    >
      <FilterChips filter={filter} />
      <Failure error={error} />
    </List>
  );
}

function Subject({ job_id, batch_id }: Delivery) {
  const kind = job_id ? "job" : "batch";
  return (
    <>
      {kind} <IdLink kind={kind} id={job_id ?? batch_id ?? ""} />
    </>
  );
}

function LastAnswer({ attempts }: Delivery) {
  const last = attempts.at(-1);
  return (
    last && (
      <>
        {last.status_code ?? last.error ?? last.result}
        {last.duration_ms !== null && ` in ${duration(last.duration_ms)}`}, <Time at={last.started_at} />
      </>
    )
  );
}
