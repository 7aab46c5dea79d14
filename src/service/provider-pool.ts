// The adapters of this process, one for each deployment, and how they follow a configuration that is read again.
import type { Logger } from "pino";
import type { DeploymentSettings, ModelSettings, Settings } from "../config/settings.ts";
import type { Provider } from "../providers/provider.ts";
import type { DeploymentChange, Scheduler } from "../scheduler/scheduler.ts";

export interface ProviderPool {
  /** By deployment id. Those that a later configuration leaves out stay, because their calls may still run. */
  providers: ReadonlyMap<string, Provider>;
  /**
   * Opens what is new and replaces what is different.
   * @throws what `create` throws; then nothing has changed
   */
  update(settings: Settings): void;
  close(): Promise<void>;
}

export type CreateProvider = (settings: Settings, model: ModelSettings, deployment: DeploymentSettings) => Provider;

export function openProviderPool(settings: Settings, create: CreateProvider): ProviderPool {
  const providers = new Map<string, Provider>();
  /** What each was created from. */
  const origins = new Map<string, string>();
  /** Those that were replaced too: their calls may run until the end. */
  const all: Provider[] = [];

  const pool: ProviderPool = {
    providers,
    update(next) {
      const fresh: { id: string; origin: string; provider: Provider }[] = [];
      for (const model of Object.values(next.models)) {
        for (const deployment of model.deployments) {
          const { quotas: _q, ...own } = deployment;
          const { deployments: _d, ...shared } = model;
          const origin = JSON.stringify([own, shared, next.timeouts]);
          if (origins.get(deployment.id) === origin) continue;
          const provider = create(next, model, deployment);
          all.push(provider);
          fresh.push({ id: deployment.id, origin, provider });
        }
      }
      for (const { id, origin, provider } of fresh) {
        origins.set(id, origin);
        providers.set(id, provider);
      }
    },
    async close() {
      await Promise.all(all.map((provider) => provider.close()));
    },
  };
  pool.update(settings);
  return pool;
}

/** Returns the function that ends it. */
export function logDeploymentChanges(scheduler: Pick<Scheduler, "onDeploymentChange">, log: Logger): () => void {
  return scheduler.onDeploymentChange(({ deployment, state, reason }: DeploymentChange) => {
    if (state === "out_of_service") log.error({ deployment, reason }, "took deployment out of service");
    else if (state === "cooling_down") log.warn({ deployment, reason }, "started to cool down deployment");
    else log.info({ deployment, reason }, "returned deployment to service");
  });
}
