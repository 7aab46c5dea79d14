// Models, their deployments and quotas: what is in service, what is used, and what an operator can do about it.
import { useState } from "preact/hooks";
import { call } from "../api.ts";
import { number } from "../format.ts";
import { snapshot } from "../live.ts";
import { deploymentWords, quotaWords } from "../names.ts";
import { Badge } from "../parts/badge.tsx";
import { Confirm } from "../parts/confirm.tsx";
import { LimitHistory } from "../parts/history.tsx";
import { Empty, Failure } from "../parts/notice.tsx";
import { Pauses } from "../parts/pauses.tsx";
import { QuotaAdvice } from "../parts/quota-advice.tsx";
import { QuotaBar } from "../parts/quota-bar.tsx";
import { type Column, Table } from "../parts/table.tsx";
import { Time } from "../parts/time.tsx";
import type { Deployment, Quota } from "../resources.ts";
import { mayChange, session } from "../session.ts";
import { useTitle } from "../use-title.ts";

type Asking = { kind: "pause" | "resume" | "reinstate"; deployment: Deployment } | { kind: "reset"; quota: Quota };

export function DeploymentsPage() {
  const current = snapshot.value;
  const [asking, setAsking] = useState<Asking | undefined>();
  const [error, setError] = useState<unknown>();
  const [reason, setReason] = useState("");
  useTitle("Deployments");
  if (!current) return <p class="empty">Waiting for the first figures…</p>;
  const canChange = mayChange() && session.value?.admin === true;
  const modelOf = (id: string) => current.models.find((model) => model.deployments.includes(id))?.name ?? "";

  const columns: Column<Deployment>[] = [
    { title: "Deployment", kind: "text", cell: ({ id }) => id },
    { title: "Model", cell: ({ id }) => modelOf(id) },
    {
      title: "State",
      kind: "state",
      cell: ({ state, paused }) => (
        <>
          <Badge state={state} /> {paused && <Badge state="paused" />}
        </>
      ),
    },
    {
      title: "Running",
      kind: "n",
      cell: ({ running, max_concurrency }) => `${number(running)} of ${number(max_concurrency)}`,
    },
    { title: "Note", kind: "text", cell: Note },
  ];
  const actions: Column<Deployment> = {
    title: "Actions",
    cell: (deployment) => (
      <span class="actions">
        <button
          type="button"
          class="small"
          aria-label={`${deployment.paused ? "Resume" : "Pause"} ${deploymentWords(deployment.id)}`}
          onClick={() => setAsking({ kind: deployment.paused ? "resume" : "pause", deployment })}
        >
          {deployment.paused ? "Resume" : "Pause"}
        </button>
        {deployment.state !== "in_service" && (
          <button
            type="button"
            class="small"
            aria-label={`Reinstate ${deploymentWords(deployment.id)}`}
            onClick={() => setAsking({ kind: "reinstate", deployment })}
          >
            Reinstate
          </button>
        )}
      </span>
    ),
  };

  async function run(): Promise<void> {
    if (!asking) return;
    if (asking.kind === "reset") {
      await call(`v1/quotas/${encodeURIComponent(asking.quota.name)}/reset`, { method: "POST" });
    } else if (asking.kind === "reinstate") {
      await call(`v1/deployments/${encodeURIComponent(asking.deployment.id)}/reinstate`, { method: "POST" });
    } else {
      const body = {
        deployment: asking.deployment.id,
        ...(asking.kind === "pause" && reason.trim() !== "" && { reason: reason.trim() }),
      };
      await call(`v1/${asking.kind}`, { method: "POST", body });
    }
    setError(undefined);
  }

  return (
    <>
      <h1>Deployments and quotas</h1>
      <Pauses />
      <Failure error={error} />
      {current.deployments.length === 0 && <Empty>The configuration has no deployments.</Empty>}
      <Table
        caption="Deployments"
        columns={canChange ? [...columns, actions] : columns}
        rows={current.deployments}
        idOf={({ id }) => id}
      />
      <h2>Quotas</h2>
      <div class="quotas">
        {current.quotas.map((quota) => (
          <div key={quota.name}>
            <QuotaBar quota={quota} />
            {quota.throttled_at && (
              <p class="quiet">
                Last refusal <Time at={quota.throttled_at} relative />.
                {quota.probing && " Sluice is trying more than it knows to work."}
              </p>
            )}
            {canChange && (quota.effective_limit < quota.configured_limit || quota.closed_until) && (
              <button type="button" class="small" onClick={() => setAsking({ kind: "reset", quota })}>
                Reset the learned limit
              </button>
            )}
          </div>
        ))}
      </div>
      {session.value?.admin && <LimitHistory />}
      {session.value?.admin && <QuotaAdvice />}
      {asking && (
        <Confirm
          {...wordsOf(asking)}
          onConfirm={run}
          onClose={() => {
            setAsking(undefined);
            setReason("");
          }}
        >
          <p>{explanationOf(asking)}</p>
          {asking.kind === "pause" && (
            <label>
              Reason, which callers can read
              <input
                type="text"
                maxLength={500}
                value={reason}
                onInput={({ currentTarget }) => setReason(currentTarget.value)}
              />
            </label>
          )}
        </Confirm>
      )}
    </>
  );
}

function Note({ reason, until, lifecycle }: Deployment) {
  const old = lifecycle && lifecycle.status !== "active" ? lifecycle.status.replaceAll("_", " ") : undefined;
  if (!reason && !until && !old && !lifecycle?.end_of_life) return null;
  return (
    <span class="quiet">
      {reason}
      {until && (
        <>
          {" "}
          Sluice tries it again <Time at={until} relative />.
        </>
      )}
      {old && ` The provider calls the model ${old}.`}
      {lifecycle?.end_of_life && ` The model's end of life is ${lifecycle.end_of_life}.`}
    </span>
  );
}

function wordsOf(asking: Asking): { title: string; action: string } {
  if (asking.kind === "reset")
    return { title: `Reset ${quotaWords(asking.quota.name)}?`, action: "Reset the learned limit" };
  const verb = { pause: "Pause", resume: "Resume", reinstate: "Reinstate" }[asking.kind];
  return { title: `${verb} ${deploymentWords(asking.deployment.id)}?`, action: `${verb} the deployment` };
}

function explanationOf(asking: Asking): string {
  switch (asking.kind) {
    case "pause":
      return "No new call starts on it until it is resumed. Running calls continue, and other deployments take over if there are any.";
    case "resume":
      return "Calls start again at once.";
    case "reinstate":
      return "It is tried again at once. If the cause persists, the next call detects it again.";
    case "reset":
      return "The configured limit applies again. Use it after the provider has raised the quota.";
  }
}
