// Every job that the scheduler knows, and where it waits: in the fair queue, until its time, or booked.
//
// A large job that does not fit is booked: it leaves the queue, and its earliest start is kept free in the quotas of
// one deployment. Others go first only if they fit around it. If small jobs could always pass, a job that takes 60 % of
// a quota would never start. If none could, 5 to 9 % of the quota would go unused. There is one booking per route.
import type { JobId } from "../../domain/ids.ts";
import type { TokenCount } from "../../domain/tokens.ts";
import { type Applicant, costOn, earliestStart } from "../admission.ts";
import { FairQueue, type Weights } from "../fair-queue.ts";
import type { Pauses } from "../pause-scopes.ts";
import type { QueueEntry } from "../scheduler.ts";
import type { SchedulerConfig } from "../scheduler-configuration.ts";
import type { Suspect } from "../suspicion.ts";
import { DelayedJobs } from "./delayed-jobs.ts";
import type { Fleet } from "./fleet.ts";
import type { Entry } from "./queue-items.ts";
import { type Route, Routes } from "./routes.ts";

/**
 * A booked job that could start loses its booking if no worker that serves it calls within this time, in milliseconds.
 * It is longer than any worker sleeps.
 */
const unservedMs = 10_000;

export class WaitingJobs {
  readonly routes: Routes;
  /** Routes with a booked job, in the order of booking: an earlier booking need not give way to a later one. */
  readonly booked = new Set<Route>();
  queue: FairQueue<Entry>;
  delayed = new DelayedJobs();
  /** Jobs that were refused. They are few, so the other jobs need no field for it. */
  readonly suspects = new Map<JobId, Suspect>();
  readonly #entries = new Map<JobId, Entry>();
  #tenantWeights: Record<string, number> = {};
  /** Number of entries whose cost is an estimate, so that `listUncounted` is free when there are none. */
  #estimates = 0;
  #bookings = 0;
  #config: SchedulerConfig;

  constructor(config: SchedulerConfig, fleet: Fleet, pauses: Pauses) {
    this.#config = config;
    this.routes = new Routes(config, fleet.deployments, pauses);
    this.queue = new FairQueue(config.weights);
  }

  reconfigure(config: SchedulerConfig, fleet: Fleet): void {
    this.#config = config;
    this.routes.reconfigure(config, fleet.deployments);
    this.queue.setWeights(this.#weights());
  }

  /** Sets weights of tenants that override the configuration's. Replaces all weights of earlier calls. */
  setTenantWeights(tenants: Record<string, number>): void {
    this.#tenantWeights = tenants;
    this.queue.setWeights(this.#weights());
  }

  /** Cancels all bookings. They are made again when their jobs are next. */
  unbookAll(): void {
    for (const route of this.booked) this.#unbook(route);
  }

  get(jobId: JobId): Entry | undefined {
    return this.#entries.get(jobId);
  }

  routeOf(entry: Entry): Route {
    return this.routes.get(entry.route);
  }

  /** Returns what decides whether and where a job may run now. */
  applicant(entry: Entry): Applicant {
    const suspect = this.suspects.size > 0 ? this.suspects.get(entry.jobId) : undefined;
    return suspect ? { jobId: entry.jobId, tokens: entry.tokens, suspect } : entry;
  }

  /** Adds jobs that are not known. Returns their number. */
  addAll(jobs: readonly QueueEntry[], now: number): number {
    const before = this.#entries.size;
    for (const job of jobs) this.add(job, now);
    return this.#entries.size - before;
  }

  /** Adds a job and returns its entry. A known job is left as it is. */
  add(job: QueueEntry, now: number): Entry {
    const known = this.#entries.get(job.jobId);
    if (known) return known;
    const flow = this.queue.flowOf(job);
    const entry: Entry = {
      jobId: job.jobId,
      // The flow's own strings: a million entries must not hold a million copies of them.
      environment: flow.parent.parent.name,
      tenant: flow.name,
      priority: flow.parent.name,
      route: this.routes.join(job),
      order: job.order,
      tokens: job.tokens,
      exact: job.exact,
      state: "ready",
      grants: 0,
      readyAt: 0,
      grant: undefined,
    };
    this.#entries.set(entry.jobId, entry);
    if (!entry.exact) this.#estimates += 1;
    this.enter(entry, now, job.delayMs);
    return entry;
  }

  /** Gives a waiting job the priority and delay of `job`. Adds a job that is not known. */
  update(job: QueueEntry, now: number): "waiting" | "running" {
    const before = this.#entries.get(job.jobId);
    if (before?.state === "running") return "running";
    if (before) {
      this.leave(before);
      this.drop(before);
    }
    const { tokens, exact, grants } = before ?? { ...job, grants: 0 };
    this.add({ ...job, tokens, exact }, now).grants = grants;
    return "waiting";
  }

  /** Lets a job wait: in its own position in the queue, at once or after `delayMs`. */
  enter(entry: Entry, now: number, delayMs = 0): void {
    entry.grant = undefined;
    if (delayMs > 0) {
      entry.state = "delayed";
      entry.readyAt = now + Math.ceil(delayMs);
      this.delayed.add(entry);
    } else {
      entry.state = "ready";
      this.queue.push(entry);
    }
  }

  /** Lets a job wait outside the queue until `until`, so that the jobs behind it can proceed. */
  park(entry: Entry, until: number, now: number): void {
    this.leave(entry);
    this.enter(entry, now, until - now);
  }

  /** Takes a job out of where it waits. */
  leave(entry: Entry): void {
    if (entry.state === "ready") this.queue.remove(entry);
    else if (entry.state === "delayed") this.delayed.delete(entry);
    else if (entry.state === "booked") this.clearBooking(this.routeOf(entry));
  }

  /** Drops a job that is not waiting anywhere. */
  drop(entry: Entry): void {
    entry.state = "removed";
    if (!entry.exact) this.#estimates -= 1;
    this.#entries.delete(entry.jobId);
    this.suspects.delete(entry.jobId);
    this.routes.leave(entry.route);
  }

  /** Moves delayed jobs whose time has come into the queue. */
  promote(now: number): void {
    for (let entry = this.delayed.peek(); entry && entry.readyAt <= now; entry = this.delayed.peek()) {
      this.delayed.delete(entry);
      this.enter(entry, now);
    }
  }

  /** The time at which the first delayed job may enter the queue; infinite if there is none. */
  get nextReadyAt(): number {
    return this.delayed.peek()?.readyAt ?? Number.POSITIVE_INFINITY;
  }

  /** Whether any job waits. */
  get hasAny(): boolean {
    return this.queue.size > 0 || this.booked.size > 0 || this.delayed.peek() !== undefined;
  }

  book(entry: Entry, now: number, allowed?: readonly string[]): void {
    const route = this.routeOf(entry);
    this.queue.remove(entry);
    entry.state = "booked";
    this.#bookings += 1;
    route.booked = entry;
    this.booked.add(route);
    route.bookingOrder = this.#bookings;
    this.keepBooking(route, entry, now, true, allowed);
  }

  /**
   * Keeps the earliest start free for a booked job, on the deployments that the calling worker serves, if it serves
   * any. Returns when to check again whether the booking is still needed.
   * @param served whether the calling worker serves the job's environment
   */
  keepBooking(route: Route, entry: Entry, now: number, served: boolean, allowed?: readonly string[]): number {
    withdraw(route, entry);
    const applicant = this.applicant(entry);
    const own = served ? earliestStart(applicant, route.tiers, now, allowed) : undefined;
    const plan = own ?? earliestStart(applicant, route.tiers, now);
    if (own || (plan && plan.at > now)) route.unservedSince = undefined;
    else route.unservedSince ??= now;
    const until = (route.unservedSince ?? Number.POSITIVE_INFINITY) + unservedMs;
    if (!plan || now >= until) {
      this.#unbook(route);
      return Number.POSITIVE_INFINITY;
    }
    for (const quota of plan.deployment.quotas) {
      const cost = costOn(quota, plan.deployment, entry.tokens);
      quota.bookings.set(entry.jobId, { cost, at: plan.at, order: route.bookingOrder });
    }
    return until;
  }

  clearBooking(route: Route): void {
    if (!route.booked) return;
    withdraw(route, route.booked);
    route.booked = undefined;
    this.booked.delete(route);
    route.unservedSince = undefined;
  }

  listUncounted(limit: number): { jobId: JobId; environment: string; models: readonly string[] }[] {
    const found: Entry[] = [];
    if (this.#estimates === 0) return [];
    for (const { booked } of this.booked) if (booked && !booked.exact) found.push(booked);
    for (const entry of this.queue.heads(limit)) {
      if (found.length >= limit) break;
      if (!entry.exact) found.push(entry);
    }
    return found.slice(0, limit).map((entry) => {
      const { jobId, environment } = entry;
      return { jobId, environment, models: this.routeOf(entry).models };
    });
  }

  setTokenCounts(jobId: JobId, tokens: TokenCount): void {
    const entry = this.#entries.get(jobId);
    if (!entry || entry.state === "running") return;
    entry.tokens = tokens;
    if (!entry.exact) this.#estimates -= 1;
    entry.exact = true;
  }

  clear(): void {
    this.queue = new FairQueue(this.#weights());
    this.delayed = new DelayedJobs();
    this.#entries.clear();
    this.suspects.clear();
    this.booked.clear();
    this.routes.clear();
    this.#estimates = 0;
  }

  #weights(): Weights {
    const { weights } = this.#config;
    return { ...weights, tenants: { ...weights.tenants, ...this.#tenantWeights } };
  }

  /** Moves a booked job back to its own position in the queue. */
  #unbook(route: Route): void {
    const entry = route.booked;
    if (!entry) return;
    this.clearBooking(route);
    entry.state = "ready";
    this.queue.push(entry);
  }
}

function withdraw(route: Route, entry: Entry): void {
  for (const tier of route.tiers)
    for (const deployment of tier.deployments)
      for (const quota of deployment.quotas) quota.bookings.delete(entry.jobId);
}
