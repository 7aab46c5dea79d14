// Time is always passed in. A test can run an hour in a millisecond, and a stepped system clock is an input like any
// other.

/** The time, as code receives it. */
export interface Clock {
  /** Milliseconds that never go backwards and ignore changes of the system clock. The origin is arbitrary. */
  now(): number;
  /** Milliseconds since the Unix epoch by the system clock. For records that people read, never for intervals. */
  wall(): number;
}

/** Longest delay of setTimeout, in milliseconds (about 24.8 days). It runs longer ones at once. */
export const longestTimeoutMs = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
};
