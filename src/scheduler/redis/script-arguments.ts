// Builds the scripts' arguments as flat lists. The header of each script describes them.
import { pauseKey } from "../pause-scopes.ts";
import { routeKey } from "../route-key.ts";
import type { QueueEntry, RestoredCharge, RestorePart, Settlement } from "../scheduler.ts";
import { packId, packOrder } from "./binary-id.ts";
import type { Argument } from "./script-runner.ts";

/** Gives each distinct key its index in a list, counted from 1 as in Lua. */
class Indexes<T> {
  readonly values: T[] = [];
  readonly #indexes = new Map<string, number>();

  of(key: string, value: T): number {
    let index = this.#indexes.get(key);
    if (index === undefined) {
      index = this.values.push(value);
      this.#indexes.set(key, index);
    }
    return index;
  }
}

/** Returns the jobs' owners and routes, each listed once, and eight arguments for each job. */
function jobsOf(entries: readonly QueueEntry[]) {
  const owners = new Indexes<readonly string[]>();
  const routes = new Indexes<string>();
  const args = entries.flatMap((entry): Argument[] => {
    const owner = [entry.environment, entry.priority, entry.tenant];
    const route = routeKey(entry);
    return [
      packId(entry.jobId),
      packOrder(entry.order),
      owners.of(JSON.stringify(owner), owner),
      routes.of(route, route),
      entry.tokens.input,
      entry.tokens.output,
      entry.exact ? "1" : "0",
      entry.delayMs ?? 0,
    ];
  });
  return { lists: { owners: owners.values, routes: routes.values }, args };
}

export function addArguments(entries: readonly QueueEntry[]): Argument[] {
  const { lists, args } = jobsOf(entries);
  return [JSON.stringify(lists), ...args];
}

export function restoreArguments(ticket: string, part: RestorePart): Argument[] {
  const { charges = [], entries = [], leases = [], learned = [], paused = [] } = part;
  const deployments = new Indexes<string>();
  const jobs = jobsOf(entries);
  const chargeArgs = charges.flatMap((charge): Argument[] => chargeArguments(charge, deployments));
  const leaseArgs = leases.flatMap(({ jobId, grant, deployment }): Argument[] => [
    packId(jobId),
    packId(grant),
    deployments.of(deployment, deployment),
  ]);
  const lists = {
    learned: learned.map((l) => [
      l.quota,
      l.effectiveLimit ?? -1,
      l.effectiveBurst ?? -1,
      l.throttledAgoMs ?? -1,
      l.closedForMs ?? -1,
    ]),
    paused: paused.map(pauseKey),
    deployments: deployments.values,
    charges: charges.length,
    leases: leases.length,
    ...jobs.lists,
  };
  return [ticket, JSON.stringify(lists), ...chargeArgs, ...jobs.args, ...leaseArgs];
}

function chargeArguments(charge: RestoredCharge, deployments: Indexes<string>): Argument[] {
  const { deployment, grant, agoMs, tokens, settled } = charge;
  const where = deployments.of(deployment, deployment);
  return [packId(grant), where, agoMs, tokens.input, tokens.output, settled ? "1" : "0"];
}

export function settleArguments({ jobId, grant, job, charge, signal }: Settlement): Argument[] {
  const after = job === "ended" ? job : job.requeueAfterMs;
  const used = typeof charge === "string" ? undefined : charge;
  const detail = signal.kind === "throttled" ? signal.throttle : "reason" in signal ? (signal.reason ?? "") : "";
  const retryAfterMs = "retryAfterMs" in signal ? (signal.retryAfterMs ?? "") : "";
  return [
    packId(jobId),
    packId(grant),
    after,
    used ? "used" : (charge as string),
    used ? used.input + (used.cacheWrite ?? 0) : "",
    used ? used.output : "",
    signal.kind,
    detail,
    retryAfterMs,
  ];
}
