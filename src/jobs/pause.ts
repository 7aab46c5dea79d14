// What is known of a pause, and how it is said.
import type { JobHead } from "../domain/job.ts";
import type { PauseTarget } from "../scheduler/scheduler.ts";

export interface Pause {
  target: PauseTarget;
  /** Milliseconds since the epoch. */
  at: number;
  /** The operator's own words. */
  reason?: string;
  /** The API key that paused it; absent where there are no keys. */
  keyId?: string;
}

export type PausedJob = Pick<JobHead, "model" | "fallbackModels" | "tenant" | "environment" | "regions">;

/** What one process knows of pauses. */
export interface KnownPauses {
  /**
   * The oldest pause that keeps a job from starting; undefined if there is none.
   * @throws what the store throws
   */
  of(job: PausedJob): Promise<Pause | undefined>;
  /** Reads the pauses again when they are needed next. */
  changed(): void;
}

/** Such as `the model m`. */
export function pausedPart(target: PauseTarget): string {
  if ("model" in target) return `the model ${target.model}`;
  if ("deployment" in target) return `the deployment ${target.deployment}`;
  const { tenant, environment } = target;
  return environment === undefined ? `the tenant ${tenant}` : `the tenant ${tenant} in ${environment}`;
}

/** Such as `The model m has been paused since 2026-11-30T20:00:00.000Z: maintenance.` */
export function pauseSentence({ target, at, reason }: Pause): string {
  const what = pausedPart(target);
  const why = reason === undefined ? "." : `: ${/[.!?]$/.test(reason) ? reason : `${reason}.`}`;
  return `${what[0]!.toUpperCase()}${what.slice(1)} has been paused since ${new Date(at).toISOString()}${why}`;
}
