// Leases in force, and leases that ended recently. An answer may still arrive for an ended lease, and its charge must
// be settled. A repeated settlement must be recognised.
import type { TokenCount } from "../../domain/tokens.ts";
import { costOn } from "../admission.ts";
import { fairCost, settledCost } from "../cost.ts";
import type { Deployment } from "../deployment.ts";
import { type Charge, type Quota, windowMs } from "../quota.ts";
import type { SettleAnswer, Settlement } from "../scheduler.ts";
import type { Entry } from "./queue-items.ts";

const settledKept = 4096;
/** How long a lost lease is kept, in milliseconds: longer than any call lasts. */
const lostKeptMs = 60 * 60_000;

export interface Lease {
  readonly grant: string;
  entry: Entry;
  readonly deployment: Deployment;
  readonly model: string;
  readonly reserved: TokenCount;
  charges: { quota: Quota; charge: Charge }[];
  fairCost: number;
  /** When the job was granted, or when its charge was last moved. */
  grantedAt: number;
  /** Whether the call left later than its charge allowed. */
  wasLate?: boolean;
  expiresAt: number;
  /** The answer to the first settlement. A repetition gets the same answer and changes nothing. */
  settled?: SettleAnswer;
}

/** Charges a call to all quotas of its deployment. */
export function chargeAll(deployment: Deployment, tokens: TokenCount, now: number): Lease["charges"] {
  return deployment.quotas.map((quota) => ({ quota, charge: quota.charge(costOn(quota, deployment, tokens), now) }));
}

/** Whether a call whose charges are void may be charged again now. */
export function admitsAgain({ entry, deployment, reserved }: Lease, now: number): boolean {
  return deployment.quotas.every((q) => q.admitsBeside(costOn(q, deployment, reserved), now, entry.jobId));
}

/** Charges a call as if it were granted now. Its former charges must be void. */
export function chargeAgain(lease: Lease, now: number): void {
  lease.grantedAt = now;
  lease.charges = chargeAll(lease.deployment, lease.reserved, now);
}

/** Replaces a call's charges by its real usage. Returns by how much its fair cost changed, in microseconds. */
export function settleCharges(lease: Lease, used: Settlement["charge"], now: number): number {
  if (used === "keep") return 0;
  let cost = 0;
  for (const { quota, charge } of lease.charges) {
    if (used === "void") {
      quota.void(charge, now);
      continue;
    }
    const real = settledCost(quota.config.unit, used, lease.deployment.config.outputBurndown);
    quota.settle(charge, real, now);
    cost = Math.max(cost, fairCost(real, quota.config.limit, windowMs(quota.config)));
  }
  if (used !== "void" && lease.charges.length === 0) cost = lease.fairCost;
  const difference = cost - lease.fairCost;
  lease.fairCost = cost;
  return difference;
}

export class Leases {
  readonly #live = new Map<string, Lease>();
  /** Settled leases, for a settlement that is repeated because its reply was lost. */
  readonly #settled = new Map<string, Lease>();
  /** Lost leases, for an answer that arrives late. */
  readonly #lost = new Map<string, { lease: Lease; until: number }>();
  /** Charges restored during a rebuild, by grant; the restored lease takes them over. */
  readonly #restored = new Map<string, Lease["charges"]>();
  /** No lease expires before this time. */
  #nextExpiry = Number.POSITIVE_INFINITY;

  get size(): number {
    return this.#live.size;
  }

  live(grant: string): Lease | undefined {
    return this.#live.get(grant);
  }

  /** Returns the job's lease in force, if the token matches. */
  liveOf(request: { jobId: string; grant: string }): Lease | undefined {
    const lease = this.#live.get(request.grant);
    return lease?.entry.jobId === request.jobId ? lease : undefined;
  }

  retired(grant: string): Lease | undefined {
    return this.#settled.get(grant) ?? this.#lost.get(grant)?.lease;
  }

  /** Returns the job's lease that expired without a settlement, if the token matches. */
  expiredOf(request: { jobId: string; grant: string }): Lease | undefined {
    const lease = this.#lost.get(request.grant)?.lease;
    return lease?.entry.jobId === request.jobId && !lease.settled ? lease : undefined;
  }

  /** Puts an expired lease back in force. */
  prolong(lease: Lease, expiresAt: number): void {
    this.#lost.delete(lease.grant);
    lease.expiresAt = expiresAt;
    this.add(lease);
  }

  add(lease: Lease): void {
    this.#live.set(lease.grant, lease);
    this.#nextExpiry = Math.min(this.#nextExpiry, lease.expiresAt);
  }

  /** Ends a lease. `retired` returns it for some time. */
  retire(lease: Lease, now: number): void {
    this.#live.delete(lease.grant);
    for (const { quota, charge } of lease.charges) quota.close(charge);
    if (lease.settled) {
      this.#settled.set(lease.grant, lease);
      if (this.#settled.size > settledKept) this.#settled.delete(this.#settled.keys().next().value!);
      return;
    }
    this.#lost.set(lease.grant, { lease, until: now + lostKeptMs });
    for (const [grant, old] of this.#lost) {
      if (old.until > now) break;
      this.#lost.delete(grant);
    }
  }

  /** Returns leases that were not renewed in time. They stay until they are retired. */
  expired(now: number): Lease[] {
    if (now < this.#nextExpiry) return [];
    const expired: Lease[] = [];
    this.#nextExpiry = Number.POSITIVE_INFINITY;
    for (const lease of this.#live.values()) {
      if (lease.expiresAt <= now) expired.push(lease);
      else this.#nextExpiry = Math.min(this.#nextExpiry, lease.expiresAt);
    }
    return expired;
  }

  /** A time before which no lease expires. */
  get nextExpiry(): number {
    return this.#nextExpiry;
  }

  /** Keeps charges from before the rebuild for their lease, whichever of the two is restored first. */
  restoreCharges(grant: string, charges: Lease["charges"]): void {
    this.#restored.set(grant, charges);
    const lease = this.#live.get(grant);
    if (lease) lease.charges = charges;
  }

  restoredCharges(grant: string): Lease["charges"] {
    return this.#restored.get(grant) ?? [];
  }

  allRestored(): void {
    this.#restored.clear();
  }

  clear(): void {
    this.#live.clear();
    this.#restored.clear();
    this.#settled.clear();
    this.#lost.clear();
    this.#nextExpiry = Number.POSITIVE_INFINITY;
  }
}
