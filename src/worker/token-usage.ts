// Keeps what is known of how providers count tokens: measures calls that ended well, saves what was learned as a
// checkpoint, and reads there what other processes have learned.
//
// A measurement is an exact count of the prompt beside the usage that came back. One at a time and ten a second at most,
// because a count takes 82 us per KB of a thread that others wait for; which calls are measured does not depend on what
// they used.
import type { Usage } from "../domain/job.ts";
import type { CanonicalRequest } from "../domain/request.ts";
import type { JobsContext } from "../jobs/jobs-context.ts";
import { isSavedRatios, type SavedRatios } from "../jobs/tokens/token-ratios.ts";

const checkpoint = "token-ratios";
const measureEachMs = 100;
/** A process that has not saved for so long is gone. */
const expiredAfterMs = 60_000;

type Context = Pick<JobsContext, "store" | "tokenCounter" | "tokenRatios" | "clock" | "log">;

/** What each process has learned, and when it saved that: milliseconds since the epoch. */
type Checkpoint = Record<string, { savedAt: number; ratios: SavedRatios }>;

export interface UsageMeter {
  /** Learns from a call that ended well, if it is time to. Never throws. */
  observe(request: CanonicalRequest, model: string, usage: Usage): void;
  /** Resolves when nothing is being measured. */
  idle(): Promise<void>;
}

export function createUsageMeter({ tokenCounter, tokenRatios, clock, log }: Context): UsageMeter {
  let underWay: Promise<void> | undefined;
  let nextAt = Number.NEGATIVE_INFINITY;
  return {
    observe(request, model, usage) {
      if (!tokenRatios || underWay || clock.now() < nextAt) return;
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

/** Goes on from what was learned before this process started. */
export async function resumeTokenRatios({ store, tokenRatios }: Pick<Context, "store" | "tokenRatios">): Promise<void> {
  tokenRatios?.resume(Object.values(await load(store)).map(({ ratios }) => ratios));
}

/**
 * Reads what other processes have learned, and saves beside it what this one has.
 * @param worker its name in the checkpoint; absent for a process that makes no calls
 */
export async function shareTokenRatios({ store, tokenRatios, clock }: Context, worker?: string): Promise<void> {
  if (!tokenRatios) return;
  const now = clock.wall();
  const saved = await load(store);
  const others = Object.entries(saved).filter(
    ([name, { savedAt }]) => name !== worker && now - savedAt < expiredAfterMs,
  );
  tokenRatios.heed(others.map(([, { ratios }]) => ratios));
  if (worker === undefined) return;
  // Two that save at once: one is missing until it saves again.
  const all = Object.fromEntries([...others, [worker, { savedAt: now, ratios: tokenRatios.save() }]]);
  await store.saveCheckpoint(checkpoint, all satisfies Checkpoint);
}

/** Nothing if it is unreadable: it can be learned again. */
async function load(store: Context["store"]): Promise<Checkpoint> {
  const all = (await store.loadCheckpoint(checkpoint)) ?? {};
  const entries = Object.entries(typeof all === "object" ? all : {}) as [string, Partial<Checkpoint[string]> | null][];
  const isUsable = (entry: Partial<Checkpoint[string]> | null) =>
    typeof entry?.savedAt === "number" && isSavedRatios(entry.ratios);
  return Object.fromEntries(entries.filter(([, entry]) => isUsable(entry))) as Checkpoint;
}
