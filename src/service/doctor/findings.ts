// What a check of the doctor found.

/**
 * - `ok`    nothing to do
 * - `fix`   something is wrong; the text says what to do
 * - `note`  it works, and the text says what would be better
 * - `skip`  not checked; the text says why
 */
export type FindingStatus = "ok" | "fix" | "note" | "skip";

export interface Finding {
  /** What was checked, such as `redis eviction`. Stable. */
  check: string;
  status: FindingStatus;
  /** Sentences. */
  text: string;
}

export const ok = (check: string, text: string): Finding => ({ check, status: "ok", text });
export const fix = (check: string, text: string): Finding => ({ check, status: "fix", text });
export const note = (check: string, text: string): Finding => ({ check, status: "note", text });
export const skip = (check: string, text: string): Finding => ({ check, status: "skip", text });

/** A difference that a healthy machine with NTP never has, in milliseconds. */
const maxClockDifferenceMs = 5_000;

/** @param aheadMs the other clock minus that of this machine */
export function clockFinding(check: string, other: string, aheadMs: number): Finding {
  const seconds = `${Math.abs(aheadMs / 1000).toFixed(1)} s`;
  if (Math.abs(aheadMs) <= maxClockDifferenceMs) return ok(check, `The clock of ${other} differs by ${seconds}.`);
  return fix(
    check,
    `The clock of ${other} is ${seconds} ${aheadMs > 0 ? "ahead of" : "behind"} this machine's. Deadlines and signatures ` +
      "depend on it: run NTP on both machines (timedatectl set-ntp true).",
  );
}

/** Whether the host of an address is this machine. */
export function isLocalAddress(url: string): boolean {
  return /^[a-z+]+:\/\/(?:[^@/]*@)?(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])(?:[:/?]|$)/i.test(url);
}

/** Returns whether a version such as 7.0.15 is at least `major.minor`; undefined if it is not a version. */
export function isAtLeast(version: string | undefined, major: number, minor: number): boolean | undefined {
  const [, a, b] = /^v?(\d+)\.(\d+)/.exec(version ?? "") ?? [];
  return a === undefined ? undefined : Number(a) > major || (Number(a) === major && Number(b) >= minor);
}
