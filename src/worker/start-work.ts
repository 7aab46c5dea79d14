// Starts all background work of a process that runs jobs: counting tokens, reconciling, saving what was learned,
// following pauses, and cleanup.

import { sweepAwaited } from "../jobs/callers/caller-records.ts";
import { beatMs } from "../jobs/callers/presence.ts";
import { followPauses } from "../jobs/control/pauses.ts";
import { sweepSessions } from "../jobs/sessions/sessions.ts";
import { sweepEphemeral } from "../jobs/submit/ephemeral.ts";
import { sweepIdempotencyKeys } from "../jobs/submit/idempotency.ts";
import { sweepVectors } from "../jobs/vector-parts.ts";
import { saveLearnedLimits } from "./recovery/learned-limits.ts";
import { Orphans } from "./recovery/orphans.ts";
import { startReconciler } from "./recovery/reconciler.ts";
import { recover } from "./recovery/recovery.ts";
import { repeat } from "./timers.ts";
import { createTokenSizer } from "./token-sizer.ts";
import { sampleMs, WaitSampler } from "./wait-sampler.ts";
import { createWorker } from "./worker.ts";
import type { WorkerContext } from "./worker-context.ts";

/** Interval at which jobs with texts to erase are searched, in milliseconds. */
const eraseMs = 30_000;
const pausesMs = 2_000;
const checkpointMs = 10_000;
const sweepMs = 600_000;

/**
 * Starts the worker and its background work.
 * @param afterKill whether the previous process was killed
 * @param processId id of this process if it has waiting callers; absent if it has none
 * @returns the function that stops everything; running calls get time to end
 */
export function startWork(
  context: WorkerContext,
  { processId, afterKill = false }: { processId?: string | undefined; afterKill?: boolean } = {},
): () => Promise<void> {
  const { settings, log } = context;
  const tokenSizer = createTokenSizer(context);
  const waits = new WaitSampler(context);
  const orphans = new Orphans(context, processId);
  const worker = createWorker(
    { ...context, waits },
    {
      rebuild: (giveUp) => recover({ ...context, orphans, afterKill }, worker.renewLeases, giveUp),
      onWaiting: tokenSizer.size,
      onAcquired: waits.want,
    },
  );
  worker.start();
  const stopReconciler = startReconciler(context);
  // Not a warning, because the next acquire fails as well.
  const stopSampling = repeat(
    context.timers,
    sampleMs,
    () => waits.round(),
    (error) => log.debug({ err: error }, "failed to read what jobs wait for"),
  );
  const rounds: [everyMs: number, run: () => Promise<void>, failure: string][] = [
    [pausesMs, () => followPauses(context), "failed to apply pauses to the queue; trying again"],
    [
      eraseMs,
      () => sweepEphemeral(context, settings.runs),
      "failed to erase texts of jobs with store: false; trying again",
    ],
    [eraseMs, () => sweepVectors(context, settings.runs), "failed to remove vectors of ended jobs; trying again"],
    [beatMs, () => orphans.round(), "failed to settle synchronous calls of a dead process"],
    [sweepMs, () => sweepIdempotencyKeys(context), "failed to remove old idempotency keys"],
    [sweepMs, () => sweepSessions(context), "failed to remove old sessions of the dashboard"],
    [sweepMs, () => sweepAwaited(context), "failed to remove old records of repeatable requests"],
    [checkpointMs, () => saveLearnedLimits(context), "failed to save learned quota limits"],
  ];
  const stopRounds = rounds.map(([everyMs, run, failure]) =>
    repeat(context.timers, everyMs, run, (error) => log.warn({ err: error }, failure)),
  );
  return async () => {
    await Promise.all([...stopRounds, stopSampling].map((stop) => stop()));
    await stopReconciler();
    await worker.stop();
    await tokenSizer.idle();
    await saveLearnedLimits(context);
  };
}
