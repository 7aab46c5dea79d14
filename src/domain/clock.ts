// Time is always passed in, so that a test can run an hour in a millisecond and a stepped system clock is an input
// like any other.

export interface Clock {
  /** Milliseconds that never go backwards and do not follow the system clock. The origin is arbitrary. */
  now(): number;
  /** Milliseconds since the Unix epoch, as the system clock has it. For records that people read, never for intervals. */
  wall(): number;
}

/** The longest delay that setTimeout takes, in milliseconds (about 24.8 days); it runs longer ones at once. */
export const longestTimeoutMs = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
};
