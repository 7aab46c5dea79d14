// Dispatches jobs: picks the next one by fair shares and a deployment whose quotas admit it, charges and leases it, all
// in one step.
import type { JobId } from "../../domain/ids.ts";
import type { TokenCount } from "../../domain/tokens.ts";
import { decide, fairCostOn } from "../admission.ts";
import type { Deployment } from "../deployment.ts";
import type { Pauses } from "../pause-scopes.ts";
import type { AcquireRequest, AcquireResult, Grant } from "../scheduler.ts";
import type { SchedulerConfig } from "../scheduler-configuration.ts";
import { chargeAll, type Lease, type Leases } from "./leases.ts";
import type { Entry } from "./queue-items.ts";
import type { WaitingJobs } from "./waiting-jobs.ts";

/** Queue heads of one route that one acquire tries to fit around the route's booking. */
const headsTried = 32;
/** Impossible jobs that one acquire returns: a model that was removed may have left a million. */
const maxImpossible = 256;

export class Dispatcher {
  config: SchedulerConfig;
  /** Before this time a job that no deployment can ever serve waits for a new configuration. */
  impossibleFrom = Number.NEGATIVE_INFINITY;
  readonly #waiting: WaitingJobs;
  readonly #leases: Leases;
  readonly #pauses: Pauses;
  readonly #newToken: () => string;

  constructor(config: SchedulerConfig, waiting: WaitingJobs, leases: Leases, pauses: Pauses, newToken: () => string) {
    this.config = config;
    this.#waiting = waiting;
    this.#leases = leases;
    this.#pauses = pauses;
    this.#newToken = newToken;
  }

  /** Grants up to `max` jobs that may run now. Admission must be open. */
  acquire(request: AcquireRequest, now: number): AcquireResult {
    const result: AcquireResult = { grants: [], impossible: [] };
    this.#waiting.promote(now);

    let retryAt = this.#grantBooked(request, result, now);
    const closed = new Set<string>();
    const tried = new Map<string, number>();
    while (result.grants.length < request.max && result.impossible.length < maxImpossible) {
      const candidate = this.#waiting.queue.next((route) => !closed.has(route), request.environments);
      if (!candidate) break;
      const { job } = candidate;
      if (this.#pauses.ofOwner(job)) {
        this.#waiting.queue.passOver(candidate);
        continue;
      }
      const route = this.#waiting.routeOf(job);
      const decision = decide(this.#waiting.applicant(job), route.tiers, now, request.deployments);
      if (decision.kind === "admitted") {
        this.#waiting.queue.remove(job);
        result.grants.push(this.#grant(job, decision.deployment, decision.model, now));
        continue;
      }
      if (decision.kind === "impossible" && now < this.impossibleFrom) {
        retryAt = Math.min(retryAt, this.impossibleFrom);
        if (route.tiers.length === 0) closed.add(job.route);
        else this.#waiting.park(job, this.impossibleFrom, now);
        continue;
      }
      if (decision.kind === "impossible") {
        this.#remove(job);
        result.impossible.push({ jobId: job.jobId, environment: job.environment, reason: decision.reason });
        continue;
      }
      retryAt = Math.min(retryAt, decision.at);
      if (decision.parked) {
        this.#waiting.park(job, decision.at, now);
        continue;
      }
      const count = (tried.get(job.route) ?? 0) + 1;
      tried.set(job.route, count);
      if (decision.forAll || count > headsTried) closed.add(job.route);
      // The first job that does not fit gets a start kept free for it, or smaller jobs would pass it forever.
      else if (!route.booked && decision.on.kind === "quota") this.#waiting.book(job, now, request.deployments);
      else this.#waiting.queue.passOver(candidate);
    }
    this.#waiting.queue.restorePassedOver();

    if (this.#waiting.hasAny) result.jobsWait = true;
    if (result.grants.length === request.max || result.impossible.length >= maxImpossible) {
      return { ...result, retryInMs: 0 };
    }
    retryAt = Math.min(retryAt, this.#waiting.nextReadyAt);
    if (this.#leases.size > 0) retryAt = Math.min(retryAt, this.#leases.nextExpiry);
    if (!Number.isFinite(retryAt)) return result;
    return { ...result, retryInMs: Math.max(1, retryAt - now) };
  }

  /** Grants booked jobs, which come first. Returns when the first of those that still wait should be tried again. */
  #grantBooked(request: AcquireRequest, result: AcquireResult, now: number): number {
    let retryAt = Number.POSITIVE_INFINITY;
    for (const route of this.#waiting.booked) {
      const entry = route.booked!;
      const served = !request.environments || request.environments.includes(entry.environment);
      const decision = decide(this.#waiting.applicant(entry), route.tiers, now, request.deployments);
      if (decision.kind === "impossible" && now < this.impossibleFrom) {
        this.#waiting.park(entry, this.impossibleFrom, now);
      } else if (decision.kind === "impossible") {
        this.#remove(entry);
        result.impossible.push({ jobId: entry.jobId, environment: entry.environment, reason: decision.reason });
      } else if (decision.kind === "admitted" && served && result.grants.length < request.max) {
        this.#waiting.clearBooking(route);
        result.grants.push(this.#grant(entry, decision.deployment, decision.model, now));
      } else if (decision.kind === "blocked" && decision.parked) {
        this.#waiting.park(entry, decision.at, now);
      } else {
        retryAt = Math.min(retryAt, this.#waiting.keepBooking(route, entry, now, served, request.deployments));
        if (served && decision.kind === "blocked") retryAt = Math.min(retryAt, decision.at);
      }
    }
    return retryAt;
  }

  #grant(entry: Entry, deployment: Deployment, model: string, now: number): Grant {
    entry.grants += 1;
    const charges = chargeAll(deployment, entry.tokens, now);
    const lease = this.lease(entry, this.#newToken(), deployment, { ...entry.tokens }, charges, now, model);
    this.#waiting.queue.charge(entry, lease.fairCost);
    return {
      jobId: entry.jobId,
      environment: entry.environment,
      grant: lease.grant,
      deployment: deployment.id,
      model,
      reserved: lease.reserved,
      sendWithinMs: this.config.sendWithinMs,
      leaseMs: this.config.leaseMs,
      grants: entry.grants,
    };
  }

  /** Leases a job that is not waiting. */
  lease(
    entry: Entry,
    grant: string,
    deployment: Deployment,
    reserved: TokenCount,
    charges: Lease["charges"],
    now: number,
    model = "",
  ): Lease {
    entry.state = "running";
    entry.grant = grant;
    deployment.running += 1;
    const times = { grantedAt: now, expiresAt: now + this.config.leaseMs };
    const cost = fairCostOn(deployment, reserved);
    const lease: Lease = { grant, entry, deployment, model, reserved, charges, fairCost: cost, ...times };
    this.#leases.add(lease);
    return lease;
  }

  /** Gives a waiting job back to the worker whose lease expired, if possible. Its charges still count. */
  resume(request: { jobId: JobId; grant: string }, now: number): boolean {
    const lease = this.#leases.expiredOf(request);
    const entry = this.#waiting.get(request.jobId);
    if (!lease || !entry || entry.state === "running") return false;
    this.#waiting.leave(entry);
    entry.state = "running";
    entry.grant = lease.grant;
    lease.entry = entry;
    lease.deployment.running += 1;
    this.#leases.prolong(lease, now + this.config.leaseMs);
    return true;
  }

  #remove(entry: Entry): void {
    this.#waiting.leave(entry);
    this.#waiting.drop(entry);
  }
}
