// Says how much of the quotas of a job's model is left, for the rate-limit headers of APIs. It reads the scheduler at most
// about twice a second, so that an answer does not wait for it.
import { inTime } from "../../domain/in-time.ts";
import type { JobHead } from "../../domain/job.ts";
import type { QuotaUnit } from "../../scheduler/scheduler-configuration.ts";
import type { QuotaSnapshot, SchedulerSnapshot } from "../../scheduler/scheduler-reports.ts";
import { Cached } from "../cached.ts";
import type { JobsContext } from "../jobs-context.ts";
import { servedBy } from "../served-by.ts";

/** How much of one quota is left. */
export interface QuotaRoom {
  /** What a window admits now, after learning. */
  limit: number;
  remaining: number;
  /** Time until some of what is used comes back, in milliseconds. 0 if nothing is used. */
  resetMs: number;
}

/** What is left by unit. A unit without a quota is absent. */
export type RoomByUnit = Partial<Record<QuotaUnit, QuotaRoom>>;

/** Age after which the snapshot is read again in the background, and after which calls wait for it, in milliseconds. */
const freshMs = 500;
const staleMs = 1_000;
/** Longest time that a call waits for a snapshot, in milliseconds. */
const waitMs = 100;

/** Reads how much of the quotas is left. Create one for each process. */
export class QuotaRooms {
  readonly #settings: JobsContext["settings"];
  readonly #snapshot: Cached<SchedulerSnapshot>;

  constructor({ settings, scheduler, clock }: Pick<JobsContext, "settings" | "scheduler" | "clock">) {
    this.#settings = settings;
    this.#snapshot = new Cached(clock, freshMs, () => scheduler.snapshot(), staleMs);
  }

  /** Returns a function that says what is left for a job. It says nothing if the scheduler does not answer soon. */
  async read(): Promise<(job: Pick<JobHead, "model" | "regions" | "baseModel">) => RoomByUnit> {
    const snapshot = await inTime(this.#snapshot.get(), waitMs).catch(() => undefined);
    return (job) => (snapshot ? roomOf(servedBy(this.#settings, job), snapshot) : {});
  }
}

/**
 * Returns what is left on the deployment that has most room. What several deployments have together could be less than
 * the sum, because they may share quotas.
 */
function roomOf(
  served: readonly { id: string; quotas: readonly { name: string }[] }[],
  { deployments, quotas }: SchedulerSnapshot,
): RoomByUnit {
  const byName = new Map(quotas.map((quota) => [quota.name, quota]));
  const inService = new Set(deployments.filter(({ state }) => state === "in_service").map(({ id }) => id));
  let best: { room: RoomByUnit; share: number } | undefined;
  for (const { id, quotas: names } of served) {
    if (!inService.has(id)) continue;
    const room: RoomByUnit = {};
    for (const { name } of names) {
      const quota = byName.get(name);
      if (!quota) continue;
      const left = leftOf(quota);
      const other = room[quota.unit];
      if (!other || left.remaining < other.remaining) room[quota.unit] = left;
    }
    const share = Math.min(1, ...Object.values(room).map(({ limit, remaining }) => remaining / Math.max(1, limit)));
    if (!best || share > best.share) best = { room, share };
  }
  return best?.room ?? {};
}

function leftOf({ effectiveLimit, used, closedForMs, nextFreeInMs = 0 }: QuotaSnapshot): QuotaRoom {
  const limit = Math.floor(effectiveLimit);
  if (closedForMs !== undefined) return { limit, remaining: 0, resetMs: Math.max(closedForMs, nextFreeInMs) };
  return { limit, remaining: Math.max(0, Math.floor(effectiveLimit - used)), resetMs: nextFreeInMs };
}
