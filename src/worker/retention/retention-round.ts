// Removes old data in rounds of bounded steps. What a round does may be repeated at any time, so a killed process leaves
// nothing half-done: the next round starts with the oldest data again.
import { type RetentionKind, retentionKinds } from "../../config/settings.ts";
import { removeOldAttempts, removeOldUsage } from "../../jobs/retention/old-attempts.ts";
import { walkOldBatches } from "../../jobs/retention/old-batches.ts";
import { removeOldFiles } from "../../jobs/retention/old-files.ts";
import { type WalkProgress, walkOldJobs } from "../../jobs/retention/old-jobs.ts";
import { ageGroups } from "../../jobs/retention/retention-policy.ts";
import { Interrupted, type Lane, type RetentionContext } from "../../jobs/retention/retention-steps.ts";
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
   * Removes what is old in an environment. A lane that fails does not keep the others from running. Tenants with zero
   * retention come first.
   * @throws Interrupted, and after all lanes what the first failing one threw: an error of the store or of the archive
   */
  async run(environment: string): Promise<void> {
    // No key of a removed job may remain that its tombstone does not outlive.
    if (ageGroups(this.#context.settings.retention, environment, "jobs").length > 0) {
      await sweepIdempotencyKeys(this.#context);
    }
    const failures: unknown[] = [];
    for (const lane of this.#lanesOf(environment)) {
      try {
        await this.#runLane(lane);
      } catch (error) {
        if (error instanceof Interrupted) throw error;
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  /** Lanes in the order in which they run. */
  #lanesOf(environment: string): Lane[] {
    const { retention } = this.#context.settings;
    const lanes = retentionKinds.flatMap((kind) =>
      ageGroups(retention, environment, kind).map((group): Lane => ({ environment, kind, ...group })),
    );
    return [...lanes.filter(({ zero }) => zero), ...lanes.filter(({ zero }) => !zero)];
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
        await walkOldBatches(this.#context, lane, memory);
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
    for (const lane of this.#lanesOf(environment)) {
      const memory = this.#lanes.get(JSON.stringify(lane));
      if (!memory || (lane.kind !== "texts" && lane.kind !== "jobs")) continue;
      late[lane.kind] = Math.max(late[lane.kind] ?? 0, memory.lateMs);
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
        lateMs: memory?.lateMs ?? 0,
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
