import { monitorEventLoopDelay } from "node:perf_hooks";

/** How much later than planned the event loop ran, in milliseconds. */
export interface Lateness {
  p99: number;
  max: number;
}

const resolutionMs = 10;

/** Starts to watch the event loop of this process. The function that it returns reports the lateness so far. */
export function watchLateness(): () => Lateness {
  const delay = monitorEventLoopDelay({ resolution: resolutionMs });
  delay.enable();
  const late = (ns: number) => Math.max(0, ns / 1e6 - resolutionMs);
  return () => ({ p99: late(delay.percentile(99)), max: late(delay.max) });
}
