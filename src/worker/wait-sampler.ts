// Splits the wait of each granted job by its reasons. While jobs wait, it asks the scheduler once a second what the
// oldest job of each row waits for, and assumes the same of the other jobs of the row. A row is an environment, a
// priority and a model. What is certain counts more than samples: delays, and attempts whose process died.
import type { Clock } from "../domain/clock.ts";
import type { Attempt, JobHead } from "../domain/job.ts";
import { type Period, partsOf, type WaitPart, type WaitReason } from "../domain/wait-parts.ts";
import { delayIn, shortWaitMs, waitBefore } from "../domain/waiting.ts";
import { pausedPart } from "../jobs/pause.ts";
import type { Scheduler, SchedulerSnapshot, WaitingOn } from "../scheduler/scheduler.ts";
import { type RowSample, splitPeriod, WaitTimeline } from "./wait-timeline.ts";

/** Interval of samples, in milliseconds. */
export const sampleMs = 1_000;

type WaitingJob = Pick<JobHead, "environment" | "priority" | "model" | "tenant" | "submittedAt" | "notBefore">;

export class WaitSampler {
  readonly #scheduler: Pick<Scheduler, "snapshot">;
  readonly #clock: Pick<Clock, "wall">;
  readonly #timeline = new WaitTimeline();
  /** Whether jobs may wait. */
  #wanted = false;
  /** Whether all slots of this process are taken. */
  #isFull = false;

  constructor({ scheduler, clock }: { scheduler: Pick<Scheduler, "snapshot">; clock: Pick<Clock, "wall"> }) {
    this.#scheduler = scheduler;
    this.#clock = clock;
  }

  /**
   * Says that jobs may wait. Without this, no samples are taken. An idle worker says so every five seconds.
   * @param isFull whether all slots of this process are taken; then a job whose turn it is waits for a slot
   */
  readonly want = (isFull: boolean): void => {
    this.#wanted = true;
    this.#isFull = isFull;
  };

  /** Takes a sample, if jobs may wait. Call it once a second. Rejects with what the scheduler throws. */
  async round(): Promise<void> {
    if (!this.#wanted) return;
    this.#wanted = false;
    const samples = samplesOf(await this.#scheduler.snapshot(), this.#isFull);
    this.#timeline.sample(Math.round(this.#clock.wall()), samples);
    this.#wanted ||= samples.length > 0;
  }

  /** Returns the wait before an attempt by its reasons. Undefined for a short wait, which needs no split. */
  split(job: WaitingJob, attempt: Attempt, earlier: readonly Attempt[]): WaitPart[] | undefined {
    const wait = waitBefore(job, attempt, earlier);
    if (wait.to - wait.from < shortWaitMs) return undefined;
    // The attempt before was lost with its process, and it is unknown how long it ran.
    if (earlier.length > 0 && !earlier.at(-1)!.end) return splitPeriod(wait, []);
    const delay = delayIn(wait, job, earlier);
    if (!delay) return this.#sampled(job, wait);
    const delayed: WaitPart = { kind: "delay", ms: delay.to - delay.from };
    return partsOf([delayed, ...this.#sampled(job, { from: delay.to, to: wait.to })]);
  }

  #sampled({ environment, priority, model, tenant }: WaitingJob, period: Period): WaitPart[] {
    const row = rowOf(environment, priority, model);
    const own = [{ tenant }, { tenant, environment }].map(pausedPart);
    const parts = splitPeriod(
      period,
      [...own, row, allRows].map((name) => this.#timeline.of(name)),
    );
    const isOther = ({ kind, subject = "" }: WaitPart) =>
      kind === "paused" && subject.startsWith(pausedPart({ tenant: "" })) && !own.includes(subject);
    // All jobs of the row were of paused tenants, and this one is not.
    return partsOf(parts.map((part): WaitPart => (isOther(part) ? { kind: "unknown", ms: part.ms } : part)));
  }
}

/** Row of what applies to all jobs. */
const allRows = "";

function rowOf(environment: string, priority: string, model: string): string {
  return `${environment}/${priority}/${model}`;
}

/** What jobs wait for that may start but find no free slot. */
const ownSlots: WaitReason = { kind: "concurrency", subject: "worker.concurrency" };

function samplesOf(
  { open, waiting, paused }: Pick<SchedulerSnapshot, "open" | "waiting" | "paused">,
  isFull: boolean,
): RowSample[] {
  if (!open) return [{ row: allRows, reason: { kind: "rebuild" } }];
  const rows = waiting.flatMap(({ environment, priority, model, waitingOn: on }) => {
    if (!on) return [];
    const reason = on.kind === "turn" && isFull ? ownSlots : reasonOf(on);
    return [{ row: rowOf(environment, priority, model), reason }];
  });
  if (rows.length === 0) return [];
  // A row does not show what the jobs of a paused tenant wait for, so each paused tenant has a row of its own.
  const tenants = paused.filter((target) => "tenant" in target).map(pausedPart);
  return [...rows, ...tenants.map((row) => ({ row, reason: { kind: "paused" as const, subject: row } }))];
}

function reasonOf(on: WaitingOn): WaitReason {
  switch (on.kind) {
    case "quota":
      return { kind: on.kind, subject: on.quota };
    case "concurrency":
    case "cool_down":
    case "out_of_service":
    case "refused":
      return { kind: on.kind, subject: on.deployment };
    case "paused":
      return { kind: on.kind, subject: pausedPart(on.target) };
    default:
      return { kind: on.kind };
  }
}
