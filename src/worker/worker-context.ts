// What the worker's parts are given.
import type { JobsContext } from "../jobs/jobs-context.ts";
import type { Provider } from "../providers/provider.ts";
import type { Timers } from "./timers.ts";
import type { UsageMeter } from "./token-usage.ts";

export interface WorkerContext extends JobsContext {
  timers: Timers;
  /** Uniform in [0, 1); for jitter. */
  random: () => number;
  /** Stands in each attempt's record. */
  workerId: string;
  /** Told of calls that ended well; absent: nothing is learned of how models count tokens. */
  usageMeter?: UsageMeter;
  /** By deployment id. Only jobs for these are taken. */
  providers: ReadonlyMap<string, Provider>;
}
