import type { DeploymentSettings, Settings } from "../config/settings.ts";

/**
 * Returns the deployments of a model that are in one of the regions, or all without regions. Returns none for an
 * unknown model.
 */
export function servedBy(
  { models }: Pick<Settings, "models">,
  { model, regions }: { model: string; regions?: readonly string[] | undefined },
): readonly DeploymentSettings[] {
  const all = models[model]?.deployments ?? [];
  return regions ? all.filter(({ region }) => regions.includes(region)) : all;
}
