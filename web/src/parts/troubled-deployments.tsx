// Deployments that do not serve, with the reason, and a button to try one at once.
import { useState } from "preact/hooks";
import { call } from "../api.ts";
import { deploymentWords } from "../names.ts";
import type { Deployment } from "../resources.ts";
import { to } from "../routes.ts";
import { mayChange, session } from "../session.ts";
import { Badge } from "./badge.tsx";
import { DeploymentName } from "./names.tsx";
import { Failure } from "./notice.tsx";
import { Time } from "./time.tsx";

export function TroubledDeployments({ deployments }: { deployments: readonly Deployment[] }) {
  const [error, setError] = useState<unknown>();
  const troubled = deployments.filter(({ state }) => state !== "in_service");
  if (troubled.length === 0) return null;

  async function reinstate(id: string): Promise<void> {
    setError(undefined);
    await call(`v1/deployments/${encodeURIComponent(id)}/reinstate`, { method: "POST" }).catch(setError);
  }

  return (
    <section aria-label="Deployments that need attention">
      <Failure error={error} />
      <ul class="plain">
        {troubled.map(({ id, state, reason, until }) => (
          <li key={id} class="notice bad">
            <Badge state={state} />{" "}
            <a href={to("deployments")}>
              <DeploymentName id={id} />
            </a>{" "}
            {reason}
            {until && (
              <>
                {" "}
                Sluice tries it again <Time at={until} relative />.
              </>
            )}
            {mayChange() && session.value?.admin && (
              <button
                type="button"
                class="small"
                aria-label={`Reinstate ${deploymentWords(id)}`}
                onClick={() => reinstate(id)}
              >
                Reinstate
              </button>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
