// Removes old data in rounds of bounded steps. What a round does may be repeated at any time, so a killed process leaves
// nothing half-done: the next round starts with the oldest data again.
import { type RetentionKind, retentionKinds } from "../../config/settings.ts";
import { removeOldAttempts, removeOldUsage } from "../../jobs/retention/old-attempts.ts";
import { walkOldBatches } from "../../jobs/retention/old-batches.ts";
import { removeOldFiles } from "../../jobs/retention/old-files.ts";
import { type WalkProgress, walkOldJobs } from "../../jobs/retention/old-jobs.ts";
import { ageGroups } from "../../jobs/retention/retention-policy.ts";
import type { Lane, RetentionContext } from "../../jobs/retention/retention-steps.ts";
import { sweepIdempotencyKeys } from "../../jobs/submit/idempotency.ts";

/** Time after which all jobs are walked through again, because the end of some may have been stored late. */
const fullWalkMs = 24 * 3_600_000;
/** Interval of the kinds whose walk has no place to continue from. */
const rareMs = 3_600_000;

/** What a process remembers of a lane. All of it only saves work. */
interface LaneMemory extends WalkProgress {
  /** Start of the last walk through everything, by the clock's `now`. */
  fullAt: number;
  ranAt: number;
  cursor?: string | undefined;
  batches: Set<string>;
}

export class RetentionRounds {
  readonly #context: RetentionContext;
  readonly #lanes = new Map<string, LaneMemory>();

  constructor(context: RetentionContext) {
    this.#context = context;
  }

  /**
   * Removes what is old in an environment.
   * @throws what the store throws, and what `proceed` throws
   */
  async run(environment: string): Promise<void> {
    // No key of a removed job may remain that its tombstone does not outlive.
    if (ageGroups(this.#context.settings.retention, environment, "jobs").length > 0) {
      await sweepIdempotencyKeys(this.#context);
    }
    for (const kind of retentionKinds) {
      for (const group of ageGroups(this.#context.settings.retention, environment, kind)) {
        await this.#runLane({ environment, kind, ...group });
      }
    }
  }

  async #runLane(lane: Lane): Promise<void> {
    const { kind } = lane;
    const now = this.#context.clock.now();
    const memory = this.#memoryOf(lane, now);
    if (isRare(kind) && now - memory.ranAt < rareMs) return;
    switch (kind) {
      case "texts":
      case "jobs": {
        await walkOldJobs(this.#context, lane, memory);
        await walkOldBatches(this.#context, lane, memory.batches);
        break;
      }
      case "files":
        await removeOldFiles(this.#context, lane);
        break;
      case "attempts":
        memory.cursor = await removeOldAttempts(this.#context, lane, memory.cursor);
        break;
      case "usage":
        await removeOldUsage(this.#context, lane);
        break;
      case "deliveries":
        // The deliverer removes them.
        break;
    }
    memory.ranAt = now;
  }

  /** Returns how long the first job that is due has been due after the last round, in milliseconds. */
  lateMs(environment: string): Partial<Record<RetentionKind, number>> {
    const late: Partial<Record<RetentionKind, number>> = {};
    for (const [name, { lateMs }] of this.#lanes) {
      const lane = JSON.parse(name) as Lane;
      if (lane.environment !== environment || (lane.kind !== "texts" && lane.kind !== "jobs")) continue;
      late[lane.kind] = Math.max(late[lane.kind] ?? 0, lateMs);
    }
    return late;
  }

  #memoryOf(lane: Lane, now: number): LaneMemory {
    const name = JSON.stringify(lane);
    let memory = this.#lanes.get(name);
    if (!memory || now - memory.fullAt > fullWalkMs) {
      memory = {
        fullAt: now,
        ranAt: Number.NEGATIVE_INFINITY,
        doneTo: 0,
        lateMs: 0,
        batches: memory?.batches ?? new Set(),
      };
      this.#lanes.set(name, memory);
    }
    return memory;
  }
}

function isRare(kind: RetentionKind): boolean {
  return kind === "attempts" || kind === "usage";
}
