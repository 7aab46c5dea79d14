// Checks whether the service accepts jobs, and whether it runs them as it should.
import { schedulerConfigOf } from "../../config/scheduler-config.ts";
import type { Settings } from "../../config/settings.ts";
import { SluiceError } from "../../domain/errors.ts";
import { inTime } from "../../domain/in-time.ts";
import type { DeploymentSnapshot } from "../../scheduler/scheduler.ts";
import type { JobsContext } from "../jobs-context.ts";
import { nothing } from "../reservation.ts";

export interface Readiness {
  /** Why every submit would be refused. Empty if jobs are accepted. */
  unready: string[];
  /** Why jobs are accepted but do not run as they should. */
  degraded: string[];
}

/** Time limit of a check, in milliseconds. Probes usually wait longer. */
const checkWithinMs = 2_000;

/** Returns the readiness. Never rejects. */
export async function readinessOf(context: JobsContext): Promise<Readiness> {
  const [store, room, scheduler] = await Promise.all([
    storeProblems(context),
    roomProblems(context),
    schedulerProblems(context),
  ]);
  // Without its queue the service still accepts jobs and queues them later.
  return { unready: [...new Set([...store, ...room])], degraded: scheduler };
}

async function storeProblems({ store, log }: JobsContext): Promise<string[]> {
  try {
    await inTime(store.ping(), checkWithinMs);
    return [];
  } catch (error) {
    log.warn({ err: error }, "failed to reach the store");
    return [cannotBeWrittenTo(error)];
  }
}

/** Returns why the limits would refuse the next submit: a full disk or a full queue. */
async function roomProblems({ limits }: JobsContext): Promise<string[]> {
  try {
    await inTime(limits?.check({ total: { ...nothing, jobs: 1 } }) ?? Promise.resolve(), checkWithinMs);
    return [];
  } catch (error) {
    const isFull = error instanceof SluiceError && ["storage_full", "limit_exceeded"].includes(error.code);
    return [isFull ? error.message.replace(/\.$/, "") : cannotBeWrittenTo(error)];
  }
}

function cannotBeWrittenTo(error: unknown): string {
  return `the store cannot be written to${error instanceof SluiceError ? ` (${error.code})` : ""}`;
}

async function schedulerProblems({ settings, scheduler, log }: JobsContext): Promise<string[]> {
  try {
    const {
      open,
      configVersion,
      deployments,
      missingModels,
      advice = [],
    } = await inTime(scheduler.snapshot(), checkWithinMs);
    if (!open) return ["the queue is being rebuilt"];
    const reasons = unservedModels(settings, deployments);
    if (configVersion !== schedulerConfigOf(settings).version) {
      reasons.unshift("the queue uses the configuration of another process");
    }
    const missing = missingModels.map(
      ({ model, jobs }) => `no deployment serves ${model} (jobs that wait for it: ${jobs})`,
    );
    return [...reasons, ...missing, ...advice];
  } catch (error) {
    log.warn({ err: error }, "failed to reach the scheduler");
    return ["the scheduler does not answer"];
  }
}

/** Returns the models that no deployment serves, with the reason of each deployment. */
function unservedModels({ models }: Settings, deployments: readonly DeploymentSnapshot[]): string[] {
  const byId = new Map(deployments.map((deployment) => [deployment.id, deployment]));
  return Object.entries(models).flatMap(([model, { deployments }]) => {
    const found = deployments.flatMap(({ id }) => byId.get(id) ?? []);
    if (found.length === 0 || found.some(({ state }) => state === "in_service")) return [];
    const each = found.map(({ id, state, reason }) => {
      const what = state === "cooling_down" ? "cools down" : "is out of service";
      return `${id} ${what}${reason === undefined ? "" : `: ${reason}`}`;
    });
    return [`no deployment of ${model} serves now (${each.join("; ")})`];
  });
}
