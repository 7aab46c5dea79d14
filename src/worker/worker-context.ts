// Defines the dependencies of the worker's parts.
import type { JobsContext } from "../jobs/jobs-context.ts";
import type { Provider } from "../providers/provider.ts";
import type { Timers } from "./timers.ts";
import type { UsageMeter } from "./token-usage.ts";
import type { WaitSampler } from "./wait-sampler.ts";

export interface WorkerContext extends JobsContext {
  timers: Timers;
  /** Returns a random number for jitter, uniform in [0, 1). */
  random: () => number;
  /** The name of this worker in the record of each attempt. */
  workerId: string;
  /** Measures successful calls. Absent if nothing is learned about token counts. */
  usageMeter?: UsageMeter;
  /** Splits waits by their reasons. Absent: they are not recorded. */
  waits?: Pick<WaitSampler, "split">;
  /** Providers by deployment id. The worker acquires only jobs for these deployments. */
  providers: ReadonlyMap<string, Provider>;
}
