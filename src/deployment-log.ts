// Says in the log when a deployment stops serving and when it serves again, with the reason: one line for each, whatever
// number of jobs meets the same refusal.
import type { Logger } from "pino";
import type { DeploymentChange, Scheduler } from "./scheduler/scheduler.ts";

/** Returns the function that ends it. */
export function logDeploymentChanges(scheduler: Pick<Scheduler, "onDeploymentChange">, log: Logger): () => void {
  return scheduler.onDeploymentChange(({ deployment, state, reason }: DeploymentChange) => {
    if (state === "out_of_service") log.error({ deployment, reason }, "took deployment out of service");
    else if (state === "cooling_down") log.warn({ deployment, reason }, "started to cool down deployment");
    else log.info({ deployment, reason }, "returned deployment to service");
  });
}
