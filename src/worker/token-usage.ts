// Learns how providers count tokens: it measures successful calls, saves the result as a checkpoint, and reads what
// other processes have learned. A measurement compares an exact count of the prompt with the reported usage. It
// measures one call at a time and at most ten a second, because a count takes 82 us per KB of a shared thread. The
// choice of calls does not depend on their usage.
import type { Usage } from "../domain/job.ts";
import { withoutMedia } from "../domain/media-tokens.ts";
import type { JobRequest } from "../domain/request.ts";
import type { JobsContext } from "../jobs/jobs-context.ts";
import { isSavedRatios, type SavedRatios } from "../jobs/tokens/token-ratios.ts";

const checkpoint = "token-ratios";
const measureEachMs = 100;
/** Age at which a process's entry in the checkpoint expires, in milliseconds. */
const expiredAfterMs = 60_000;

type Context = Pick<JobsContext, "store" | "tokenCounter" | "tokenRatios" | "clock" | "log">;

/** What each process has learned, and when it saved that, in milliseconds since the epoch. */
type Checkpoint = Record<string, { savedAt: number; ratios: SavedRatios }>;

export interface UsageMeter {
  /** Learns from a successful call, if it is time. Never throws. */
  observe(request: JobRequest, model: string, usage: Usage): void;
  /** Resolves when no measurement is running. */
  idle(): Promise<void>;
}

export function createUsageMeter({ tokenCounter, tokenRatios, clock, log }: Context): UsageMeter {
  let underWay: Promise<void> | undefined;
  let nextAt = Number.NEGATIVE_INFINITY;
  return {
    observe(request, model, usage) {
      if (!tokenRatios || underWay || clock.now() < nextAt) return;
      // What images and documents add is not a property of the text.
      if (withoutMedia(request) !== request) return;
      nextAt = clock.now() + measureEachMs;
      underWay = tokenCounter
        .count([request])
        .then(([counted]) => tokenRatios.observe(model, counted!, usage, request.parameters.maxTokens))
        .catch((error) => log.debug({ err: error }, "failed to count a prompt to compare it with its usage"))
        .finally(() => {
          underWay = undefined;
        });
    },
    async idle() {
      await underWay;
    },
  };
}

/** Loads what was learned before this process started. */
export async function resumeTokenRatios({ store, tokenRatios }: Pick<Context, "store" | "tokenRatios">): Promise<void> {
  tokenRatios?.resume(Object.values(await load(store)).map(({ ratios }) => ratios));
}

/**
 * Reads what other processes have learned, and saves what this process has learned.
 * @param worker this process's name in the checkpoint; absent for a process that makes no calls
 */
export async function shareTokenRatios({ store, tokenRatios, clock }: Context, worker?: string): Promise<void> {
  if (!tokenRatios) return;
  const now = clock.wall();
  const saved = await load(store);
  const others = Object.entries(saved).filter(
    ([name, { savedAt }]) => name !== worker && now - savedAt < expiredAfterMs,
  );
  tokenRatios.replaceOthers(others.map(([, { ratios }]) => ratios));
  if (worker === undefined) return;
  // If two processes save at once, one is missing until it saves again.
  const all = Object.fromEntries([...others, [worker, { savedAt: now, ratios: tokenRatios.save() }]]);
  await store.saveCheckpoint(checkpoint, all satisfies Checkpoint);
}

/** Returns nothing if the checkpoint is unreadable, because it can be learned again. */
async function load(store: Context["store"]): Promise<Checkpoint> {
  const all = (await store.loadCheckpoint(checkpoint)) ?? {};
  const entries = Object.entries(typeof all === "object" ? all : {}) as [string, Partial<Checkpoint[string]> | null][];
  const isUsable = (entry: Partial<Checkpoint[string]> | null) =>
    typeof entry?.savedAt === "number" && isSavedRatios(entry.ratios);
  return Object.fromEntries(entries.filter(([, entry]) => isUsable(entry))) as Checkpoint;
}
