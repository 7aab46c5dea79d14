// Describes a pause, as data and as a sentence.
import type { JobHead } from "../domain/job.ts";
import type { PauseTarget } from "../scheduler/scheduler.ts";

export interface Pause {
  target: PauseTarget;
  /** Milliseconds since the epoch. */
  at: number;
  /** The operator's reason. */
  reason?: string;
  /** Id of the API key that paused it. Absent in a service without keys. */
  keyId?: string;
}

export type PausedJob = Pick<JobHead, "model" | "fallbackModels" | "tenant" | "environment" | "regions" | "baseModel">;

/** The pauses that one process knows. */
export interface KnownPauses {
  /**
   * Returns the oldest pause that keeps a job from starting, or undefined.
   * @throws what the store throws
   */
  of(job: PausedJob): Promise<Pause | undefined>;
  /** Discards the cached pauses, so that the next use reads them. */
  changed(): void;
}

/** Returns the name of a target, such as `the model m`. */
export function pausedPart(target: PauseTarget): string {
  if ("model" in target) return `the model ${target.model}`;
  if ("deployment" in target) return `the deployment ${target.deployment}`;
  const { tenant, environment } = target;
  return environment === undefined ? `the tenant ${tenant}` : `the tenant ${tenant} in ${environment}`;
}

/** Returns a sentence such as `The model m has been paused since 2026-11-30T20:00:00.000Z: maintenance.` */
export function pauseSentence({ target, at, reason }: Pause): string {
  const what = pausedPart(target);
  const why = reason === undefined ? "." : `: ${/[.!?]$/.test(reason) ? reason : `${reason}.`}`;
  return `${what[0]!.toUpperCase()}${what.slice(1)} has been paused since ${new Date(at).toISOString()}${why}`;
}
