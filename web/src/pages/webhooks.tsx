// Webhook deliveries: where each went, what the receiver answered, and delivering one again.

import { useState } from "preact/hooks";
import { useLocation } from "preact-iso";
import { call, query as queryOf } from "../api.ts";
import { duration } from "../format.ts";
import { Badge } from "../parts/badge.tsx";
import { FilterChips } from "../parts/filter-chips.tsx";
import { IdLink } from "../parts/id.tsx";
import { Empty, Failure } from "../parts/notice.tsx";
import { NewRows, PagerButtons, pagesOf, usePages } from "../parts/pager.tsx";
import { Scroll } from "../parts/scroll.tsx";
import { Time } from "../parts/time.tsx";
import { to } from "../routes.ts";
import { mayChange } from "../session.ts";
import { useTitle } from "../use-title.ts";

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

const names = ["status", "job", "batch"];

export function WebhooksPage() {
  const { query, route } = useLocation();
  const filter = Object.fromEntries(
    Object.entries(query).filter(([name, value]) => names.includes(name) && value !== ""),
  );
  const pages = usePages(
    queryOf(filter),
    pagesOf<Delivery>("v1/webhooks/deliveries", filter),
    (delivery) => delivery.id,
  );
  const [error, setError] = useState<unknown>();
  useTitle("Webhooks");

  async function redeliver(id: string): Promise<void> {
    setError(undefined);
    await call(`v1/webhooks/deliveries/${id}/redeliver`, { method: "POST" }).then(pages.refresh, setError);
  }

  return (
    <>
      <h1>Webhook deliveries</h1>
      <FilterChips
        fields={[
          { name: "status", label: "State", options: ["waiting", "pending", "delivered", "failed"] },
          { name: "job", label: "Job" },
          { name: "batch", label: "Batch" },
        ]}
        filter={filter}
        onChange={(next) => route(to(`webhooks${queryOf(next)}`))}
      />
      <Failure error={pages.error} retry={pages.refresh} />
      <Failure error={error} />
      <NewRows pages={pages} />
      {pages.rows?.length === 0 && (
        <Empty>There are no deliveries. Set webhook_url in a job or a batch, and Sluice posts its end there.</Empty>
      )}
      {pages.rows && pages.rows.length > 0 && (
        <Scroll label="Deliveries">
          <table class="list">
            <thead>
              <tr>
                <th scope="col">For</th>
                <th scope="col">State</th>
                <th scope="col">Address</th>
                <th scope="col">Attempts</th>
                <th scope="col">Last answer</th>
                <th scope="col">Next attempt</th>
                {mayChange() && <th scope="col">Actions</th>}
              </tr>
            </thead>
            <tbody>
              {pages.rows.map((delivery) => {
                const last = delivery.attempts.at(-1);
                return (
                  <tr key={delivery.id}>
                    <td>
                      {delivery.job_id ? (
                        <>
                          job <IdLink kind="job" id={delivery.job_id} />
                        </>
                      ) : (
                        <>
                          batch <IdLink kind="batch" id={delivery.batch_id ?? ""} />
                        </>
                      )}
                    </td>
                    <td>
                      <Badge state={delivery.status} />
                    </td>
                    <td class="wrap">{delivery.url}</td>
                    <td>{delivery.attempts.length}</td>
                    <td>
                      {last ? (
                        <>
                          {last.status_code ?? last.error ?? last.result}
                          {last.duration_ms !== null && ` in ${duration(last.duration_ms)}`},{" "}
                          <Time at={last.started_at} />
                        </>
                      ) : (
                        "–"
                      )}
                    </td>
                    <td>
                      <Time at={delivery.next_attempt_at} relative />
                    </td>
                    {mayChange() && (
                      <td>
                        {(delivery.status === "failed" || delivery.status === "delivered") && (
                          <button type="button" class="small" onClick={() => redeliver(delivery.id)}>
                            Deliver again
                          </button>
                        )}
                      </td>
                    )}
                  </tr>
                );
              })}
            </tbody>
          </table>
        </Scroll>
      )}
      <PagerButtons pages={pages} />
    </>
  );
}
