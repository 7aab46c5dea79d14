// Keeps one adapter for each deployment of this process, and follows configuration reloads.
import type { Logger } from "pino";
import type { DeploymentSettings, ModelSettings, Settings } from "../config/settings.ts";
import type { Provider } from "../providers/provider.ts";
import type { DeploymentChange, Scheduler } from "../scheduler/scheduler.ts";

export interface ProviderPool {
  /** Adapters by deployment id. Removed deployments stay, because their calls may still run. */
  providers: ReadonlyMap<string, Provider>;
  /**
   * Opens adapters of new deployments and replaces those of changed ones.
   * @throws what `create` throws; then nothing has changed
   */
  update(settings: Settings): void;
  close(): Promise<void>;
}

export type CreateProvider = (settings: Settings, model: ModelSettings, deployment: DeploymentSettings) => Provider;

export function openProviderPool(settings: Settings, create: CreateProvider): ProviderPool {
  const providers = new Map<string, Provider>();
  /** The settings from which each adapter was created, as text. */
  const origins = new Map<string, string>();
  /** All adapters, including replaced ones, whose calls may still run. */
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

/** Logs state changes of deployments. Returns a function that stops it. */
export function logDeploymentChanges(scheduler: Pick<Scheduler, "onDeploymentChange">, log: Logger): () => void {
  return scheduler.onDeploymentChange(({ deployment, state, reason }: DeploymentChange) => {
    if (state === "out_of_service") log.error({ deployment, reason }, "took deployment out of service");
    else if (state === "cooling_down") log.warn({ deployment, reason }, "started to cool down deployment");
    else log.info({ deployment, reason }, "returned deployment to service");
  });
}
