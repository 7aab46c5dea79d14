// A route is what decides where a job can run: its models, the regions it may use, and the foundation model that must
// answer. Jobs with the same route share a queue. Routes are kept while jobs use them.
import type { Tier } from "../admission.ts";
import type { Deployment } from "../deployment.ts";
import type { Pauses } from "../pause-scopes.ts";
import { byModel } from "../report-order.ts";
import { routeKey } from "../route-key.ts";
import type { QueueEntry } from "../scheduler.ts";
import type { SchedulerConfig } from "../scheduler-configuration.ts";
import type { Entry } from "./queue-items.ts";

/** What of a job decides where it can run. */
type Wanted = Pick<QueueEntry, "models" | "regions" | "baseModel">;

export interface Route extends Readonly<Wanted> {
  readonly key: string;
  tiers: Tier[];
  /** The job that waits outside the queue for a start that is kept free for it. */
  booked: Entry | undefined;
  /** Sequence number of the booking, counted over all routes. */
  bookingOrder: number;
  /** Since when the booked job could start although no calling worker serves it. */
  unservedSince: number | undefined;
  jobs: number;
}

export class Routes {
  readonly #routes = new Map<string, Route>();
  #config: SchedulerConfig;
  #deployments: ReadonlyMap<string, Deployment>;
  readonly #pauses: Pauses;

  constructor(config: SchedulerConfig, deployments: ReadonlyMap<string, Deployment>, pauses: Pauses) {
    this.#pauses = pauses;
    this.#config = config;
    this.#deployments = deployments;
  }

  get(key: string): Route {
    return this.#routes.get(key)!;
  }

  /** Counts a job in and returns the key of its route. */
  join({ models, regions, baseModel }: Wanted): string {
    const wanted = { models, ...(regions && { regions }), ...(baseModel !== undefined && { baseModel }) };
    const key = routeKey(wanted);
    let route = this.#routes.get(key);
    if (!route) {
      route = {
        key,
        ...wanted,
        tiers: this.#tiersOf(wanted),
        booked: undefined,
        bookingOrder: 0,
        unservedSince: undefined,
        jobs: 0,
      };
      this.#routes.set(key, route);
    }
    route.jobs += 1;
    // The route's own string: a million entries must not hold a million copies of it.
    return route.key;
  }

  leave(key: string): void {
    const route = this.get(key);
    route.jobs -= 1;
    if (route.jobs === 0) this.#routes.delete(key);
  }

  reconfigure(config: SchedulerConfig, deployments: ReadonlyMap<string, Deployment>): void {
    this.#config = config;
    this.#deployments = deployments;
    for (const route of this.#routes.values()) route.tiers = this.#tiersOf(route);
  }

  /** Applies that something was paused or resumed. */
  followPauses(): void {
    this.reconfigure(this.#config, this.#deployments);
  }

  /** Returns how many jobs wait for each model that no deployment serves, sorted by model. */
  missingModels(): { model: string; jobs: number }[] {
    const jobs = new Map<string, number>();
    for (const route of this.#routes.values()) {
      if (route.tiers.length > 0) continue;
      const model = route.models[0]!;
      jobs.set(model, (jobs.get(model) ?? 0) + route.jobs);
    }
    return [...jobs].map(([model, count]) => ({ model, jobs: count })).sort(byModel);
  }

  clear(): void {
    this.#routes.clear();
  }

  #tiersOf({ models, regions, baseModel }: Wanted): Tier[] {
    return models.flatMap((model) => {
      const served = this.#config.models[model];
      const deployments = (served?.deployments ?? [])
        .map((id) => this.#deployments.get(id))
        .filter((d) => d !== undefined)
        .filter((d) => !regions || regions.includes(d.config.region))
        .filter((d) => baseModel === undefined || d.config.baseModel === baseModel);
      return served && deployments.length > 0
        ? [{ model, choice: served.choice, deployments, paused: this.#pauses.has({ model }) }]
        : [];
    });
  }
}
