// Waits between the steps of background work that changes many jobs, so that it takes at most half of the store's time,
// however fast the disk is.
import type { Clock } from "../domain/clock.ts";
import type { Timers } from "./timers.ts";

const shortestMs = 1;
/** A step that waited for an outage must not be followed by as long a pause. */
const longestMs = 500;

/** Returns a function that waits as long as the step since its last call took. */
export function createPace(clock: Pick<Clock, "now">, timers: Timers): () => Promise<void> {
  let began = clock.now();
  return async () => {
    const tookMs = clock.now() - began;
    await new Promise<void>((resolve) => {
      timers.after(Math.min(longestMs, Math.max(shortestMs, tookMs)), resolve);
    });
    began = clock.now();
  };
}
