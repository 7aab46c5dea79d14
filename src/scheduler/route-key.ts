// The key of a route: which models may serve a job, in which regions, and with which foundation model. Redis stores it
// as the route's name.
import type { QueueEntry } from "./scheduler.ts";

/**
 * Returns the JSON of [models, sorted regions or null], followed by the foundation model if only that may serve the
 * job. Earlier versions wrote the first two, so their routes keep their names.
 */
export function routeKey({ models, regions, baseModel }: Pick<QueueEntry, "models" | "regions" | "baseModel">): string {
  const sorted = regions ? [...regions].sort() : null;
  return JSON.stringify(baseModel === undefined ? [models, sorted] : [models, sorted, baseModel]);
}
