// What is paused now, why, and since when, with a button to resume it.
import { useState } from "preact/hooks";
import { call } from "../api.ts";
import { deploymentWords } from "../names.ts";
import { mayChange, session } from "../session.ts";
import { useQuery } from "../use-query.ts";
import { Badge } from "./badge.tsx";
import { Failure } from "./notice.tsx";
import { Time } from "./time.tsx";

interface Pause {
  model: string | null;
  deployment: string | null;
  tenant: string | null;
  environment: string | null;
  paused_at: string | null;
  reason: string | null;
}

const refreshMs = 5_000;

export function Pauses() {
  const pauses = useQuery<{ data: Pause[] }>("v1/pauses", refreshMs);
  const [error, setError] = useState<unknown>();
  const found = pauses.data?.data ?? [];
  if (found.length === 0) return null;

  async function resume({ model, deployment, tenant, environment }: Pause): Promise<void> {
    const target = Object.entries({ model, deployment, tenant, environment }).filter(([, name]) => name !== null);
    setError(undefined);
    await call("v1/resume", { method: "POST", body: Object.fromEntries(target) }).then(pauses.reload, setError);
  }

  return (
    <section aria-label="Pauses">
      <Failure error={error} />
      <ul class="plain">
        {found.map((pause) => (
          <li key={nameOf(pause)} class="notice warn">
            <Badge state="paused" /> {nameOf(pause)}
            {pause.paused_at && (
              <>
                , <Time at={pause.paused_at} relative />
              </>
            )}
            {pause.reason && (
              <>
                : <bdi>{pause.reason}</bdi>
              </>
            )}
            {mayChange() && (session.value?.admin || pause.tenant === session.value?.tenant) && (
              <button type="button" class="small" onClick={() => resume(pause)}>
                Resume
              </button>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}

function nameOf({ model, deployment, tenant, environment }: Pause): string {
  if (deployment !== null) return deploymentWords(deployment);
  if (model !== null) return `model ${model}`;
  return `tenant ${tenant}${environment === null ? "" : ` in ${environment}`}`;
}
