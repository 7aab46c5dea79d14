// The parts of a wait: what a job waited for, and how long.

/** Kinds of reasons. All but `unknown` are kinds of the scheduler's `WaitingOn`. */
export const waitKinds = [
  "turn",
  "fairness",
  "quota",
  "concurrency",
  "cool_down",
  "out_of_service",
  "refused",
  "configuration",
  "paused",
  "delay",
  "rebuild",
  "unknown",
] as const;
export type WaitKind = (typeof waitKinds)[number];

/** What a job waits for. */
export interface WaitReason {
  kind: WaitKind;
  /** The quota, the deployment, or what is paused. Absent if the kind says it all. */
  subject?: string;
}

/** A part of a wait. */
export interface WaitPart extends WaitReason {
  /** Whole milliseconds, more than 0. */
  ms: number;
}

/** A time in whole milliseconds since the epoch, from its start to its end. */
export interface Period {
  from: number;
  to: number;
}

/** Longest list of parts. With more, parts of one kind become one. */
const maxParts = 12;

/** Adds up parts of the same reason, in the order of their first occurrence, and omits empty ones. */
export function partsOf(parts: Iterable<WaitPart>): WaitPart[] {
  const byReason = new Map<string, WaitPart>();
  for (const { ms, ...reason } of parts) {
    if (ms <= 0) continue;
    const key = `${reason.kind} ${reason.subject ?? ""}`;
    const sum = byReason.get(key);
    if (sum) sum.ms += ms;
    else byReason.set(key, { ...reason, ms });
  }
  const sums = [...byReason.values()];
  // Without subjects, there are no more than there are kinds.
  return sums.length > maxParts && sums.some(({ subject }) => subject !== undefined)
    ? partsOf(sums.map(({ kind, ms }) => ({ kind, ms })))
    : sums;
}
