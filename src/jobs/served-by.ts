import type { DeploymentSettings, Settings } from "../config/settings.ts";
import type { JobHead } from "../domain/job.ts";

/**
 * Returns the deployments that may serve a job: of its model, in one of its regions if it names any, and of its
 * foundation model if it names one. Returns none for an unknown model.
 */
export function servedBy(
  { models }: Pick<Settings, "models">,
  { model, regions, baseModel }: Pick<JobHead, "model" | "regions" | "baseModel">,
): readonly DeploymentSettings[] {
  const all = models[model]?.deployments ?? [];
  const near = regions ? all.filter(({ region }) => regions.includes(region)) : all;
  return baseModel === undefined ? near : near.filter((deployment) => deployment.baseModel === baseModel);
}
