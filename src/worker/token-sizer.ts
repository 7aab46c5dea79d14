// Replaces the estimated cost of jobs near the head of the queue by an exact count while they wait. Counting at submit
// would cost 82 us per KB, and charging an upper bound wastes quota. It counts outside the event loop, one batch at a
// time, and never delays acquiring.
import { reservedInput } from "../jobs/tokens/token-ratios.ts";
import type { WorkerContext } from "./worker-context.ts";

/** Jobs per batch: what one acquire can use, and few enough to keep their prompts in memory together. */
const batchSize = 64;

export interface TokenSizer {
  /** Counts a batch of waiting jobs, unless one is being counted. Never throws. */
  size(): void;
  /** Resolves when no count is running. */
  idle(): Promise<void>;
}

export function createTokenSizer(context: WorkerContext): TokenSizer {
  let underWay: Promise<void> | undefined;
  return {
    size() {
      underWay ??= sizeWaiting(context)
        .catch((error) => context.log.warn({ err: error }, "failed to count the tokens of waiting jobs"))
        .finally(() => {
          underWay = undefined;
        });
    },
    async idle() {
      await underWay;
    },
  };
}

/** Counts one batch. */
async function sizeWaiting(
  context: Pick<WorkerContext, "scheduler" | "store" | "tokenCounter" | "tokenRatios" | "settings">,
): Promise<void> {
  const waiting = await context.scheduler.listUncounted(batchSize);
  for (const environment of new Set(waiting.map((job) => job.environment))) {
    const jobs = waiting.filter((job) => job.environment === environment);
    const requests = await context.store.getRequests(
      environment,
      jobs.map((job) => job.jobId),
    );
    const known = jobs.filter((job) => requests.has(job.jobId));
    const counts = await context.tokenCounter.count(known.map((job) => requests.get(job.jobId)!));
    await context.scheduler.setTokenCounts(
      known.map(({ jobId, models }, i) => {
        const request = requests.get(jobId)!;
        const input = reservedInput(context.settings, context.tokenRatios, models, request, counts[i]!);
        return { jobId, tokens: { input, output: request.parameters.maxTokens } };
      }),
    );
  }
}
