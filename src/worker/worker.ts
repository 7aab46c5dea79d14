// Runs the worker of one process: it acquires jobs while it has free slots, runs them in parallel, renews their leases,
// and hands everything back when it stops. One loop acquires for all slots and never polls. It sleeps until the
// scheduler reports a change, or until the time that the scheduler named. While it has free slots, it does not ask
// again because a job ended: if the end lets another job start, the scheduler reports that.

import { newToken } from "../domain/ids.ts";
import { sharedAbort } from "../domain/shared-abort.ts";
import { CancelledBatches } from "../jobs/batches/cancelled-batches.ts";
import { costSoFar, endJob } from "../jobs/control/end-job.ts";
import type { AcquireResult, Grant } from "../scheduler/scheduler.ts";
import { runGrant } from "./attempt/run-grant.ts";
import { RunningCall } from "./attempt/running-call.ts";
import { SendSlots } from "./attempt/send-slots.ts";
import { repeat } from "./timers.ts";
import type { WorkerContext } from "./worker-context.ts";

export interface Worker {
  start(): void;
  /**
   * Stops acquiring, waits up to `drainMs` for running calls, aborts the rest and requeues their jobs. Resolves when
   * everything is recorded. An answer that an unavailable store does not take within 5 more seconds is lost.
   */
  stop(): Promise<void>;
  /** Confirms every lease of this worker. A call whose lease is lost continues, unless its job has ended. */
  renewLeases(): Promise<void>;
}

export interface WorkerHooks {
  /** Rebuilds the scheduler from the store. Rejects when the signal aborts. */
  rebuild: (giveUp: AbortSignal) => Promise<void>;
  /** Called when no quota admits a waiting job now, so that its tokens can be counted exactly. Must not throw. */
  onWaiting: () => void;
  /** Called after each acquire, when jobs may wait. `isFull`: all slots of this process are taken. Must not throw. */
  onAcquired: (isFull: boolean) => void;
}

/** Longest sleep before asking the scheduler again, in milliseconds, which bounds the cost of a lost notification. */
const longestSleepMs = 5000;
/** Pause after an error of the scheduler, in milliseconds. */
const errorPauseMs = 1000;
/** Time that stop() waits for an unavailable store after aborting everything, in milliseconds. */
const giveUpAfterMs = 5000;

/**
 * Creates a worker.
 * @param sendSlots Default: its own
 */
export function createWorker(context: WorkerContext, hooks: WorkerHooks, sendSlots = new SendSlots()): Worker {
  const { scheduler, clock, timers, log, settings } = context;
  const environments = settings.runs;
  /** Running calls by grant token. */
  const running = new Map<string, { call: RunningCall; over: Promise<void> }>();
  const giveUp = sharedAbort();
  const shared = { context, cancelledBatches: new CancelledBatches(context), sendSlots, giveUp: giveUp.signal };
  const stopRebuild = sharedAbort();
  let stopping: Promise<void> | undefined;
  let cancelSleep = () => {};
  let wakePending = false;
  /** Whether the loop waits for a free slot. */
  let isFull = false;
  let acquiring: Promise<void> | undefined;
  /** An acquire without a reply is repeated under the same operation, and returns the same grants. */
  let unanswered: { operation: string; max: number; calledAt: number } | undefined;
  let stopListening = () => {};
  let stopRenewing = async () => {};
  const renewEachMs = settings.scheduler.leaseMs / 3;
  let renewedAt = clock.now();

  // -------------------------------------------------------------- acquiring

  /** Acquires soon. One acquire fills all slots that are freed within one turn of the event loop. */
  function wake(): void {
    if (wakePending || stopping) return;
    wakePending = true;
    setImmediate(() => {
      if (acquiring) return; // The running acquire checks wakePending at its end.
      acquiring = acquireWhileWoken().finally(() => {
        acquiring = undefined;
      });
    });
  }

  async function acquireWhileWoken(): Promise<void> {
    while (wakePending && !stopping) {
      wakePending = false;
      cancelSleep();
      const sleepMs = await acquireOnce().catch((error) => {
        if (!stopping) log.error({ err: error }, "failed to acquire jobs");
        return errorPauseMs;
      });
      if (sleepMs === 0) wakePending = true;
      else cancelSleep = timers.after(Math.min(sleepMs, longestSleepMs), wake);
    }
  }

  /** Returns the time until the next acquire in milliseconds. */
  async function acquireOnce(): Promise<number> {
    const free = settings.worker.concurrency - running.size;
    isFull = free <= 0;
    if (isFull) {
      hooks.onAcquired(true);
      // An ended call wakes it earlier. A reload may raise the number of slots meanwhile.
      return longestSleepMs;
    }
    // After a freeze, leases have lapsed, and jobs that still run here would be granted again.
    if (running.size > 0 && clock.now() - renewedAt > 2 * renewEachMs) await renewLeases();
    const isRepeated = unanswered !== undefined;
    unanswered ??= { operation: newToken(), max: free, calledAt: clock.now() };
    const { operation, max, calledAt } = unanswered;
    const worker = context.workerId;
    // A reload may have added deployments.
    const deployments = [...context.providers.keys()];
    const result = await scheduler.acquire({ operation, worker, max, environments, deployments });
    unanswered = undefined;

    for (const grant of result.grants) start(grant, calledAt);
    hooks.onAcquired(result.grants.length === max);
    for (const job of result.impossible) await failImpossible(context, job);
    // The reply to a repetition is as old as the first acquire, and a notice may have come since.
    return isRepeated && !result.closed ? 0 : nextAcquireMs(result, max);
  }

  async function nextAcquireMs(result: AcquireResult, requested: number): Promise<number> {
    if (result.closed === "rebuild") {
      await hooks.rebuild(stopRebuild.signal);
      return 0;
    }
    if (result.retryInMs === undefined) return longestSleepMs;
    if (result.jobsWait && result.grants.length < requested) hooks.onWaiting();
    // Prevents a busy loop if the scheduler grants nothing but says "now".
    return result.grants.length === 0 ? Math.max(1, result.retryInMs) : result.retryInMs;
  }

  // -------------------------------------------------------------- running

  function start(grant: Grant, acquiredAt: number): void {
    const call = new RunningCall(grant, acquiredAt);
    if (stopping) call.abort("shutdown");
    const over = runGrant(shared, call)
      .catch((error) => handBack(grant, error))
      .finally(() => {
        running.delete(grant.grant);
        if (isFull) wake();
      });
    running.set(grant.grant, { call, over });
  }

  /** Requeues the job after a bug or a lost store. Its recorded attempt has an unknown result. */
  async function handBack({ jobId, grant }: Grant, error: unknown): Promise<void> {
    log.error({ err: error, jobId }, "failed to end an attempt");
    await scheduler
      .settle([{ jobId, grant, job: { requeueAfterMs: longestSleepMs }, charge: "keep", signal: { kind: "none" } }])
      .catch((cause) => log.error({ err: cause, jobId }, "failed to settle the grant of an attempt"));
  }

  async function renewLeases(): Promise<void> {
    const calls = [...running.values()].map(({ call }) => call);
    const startedAt = clock.now();
    if (calls.length > 0) {
      const answers = await scheduler.renew(calls.map(({ grant: { jobId, grant } }) => ({ jobId, grant })));
      await Promise.all(
        calls.map((call, i) => {
          if (answers[i] === "lost" && !call.leaseLost) context.metrics?.leaseLost();
          call.leaseLost = answers[i] === "lost";
          return call.leaseLost ? stopIfEnded(call) : undefined;
        }),
      );
    }
    renewedAt = startedAt;
  }

  /**
   * Stops a call whose lease was lost, but only if its job has ended. If another worker has the job, the call
   * continues, because its answer may already have arrived.
   */
  async function stopIfEnded(call: RunningCall): Promise<void> {
    const record = await context.store.get(call.grant.jobId, "none");
    if (!record || record.outcome) call.abort("ended");
  }

  // -------------------------------------------------------------- stopping

  async function drain(): Promise<void> {
    stopListening();
    cancelSleep();
    stopRebuild.abort();
    await acquiring;
    const cancelAbort = timers.after(settings.worker.drainMs, () => {
      for (const { call } of running.values()) call.abort("shutdown");
    });
    const cancelGiveUp = timers.after(settings.worker.drainMs + giveUpAfterMs, () => giveUp.abort());
    await Promise.all([...running.values()].map(({ over }) => over));
    cancelAbort();
    cancelGiveUp();
    await stopRenewing();
  }

  return {
    start() {
      stopListening = scheduler.onWork(wake);
      stopRenewing = repeat(timers, renewEachMs, renewLeases, (error) =>
        log.warn({ err: error }, "failed to renew leases"),
      );
      wake();
    },
    stop() {
      stopping ??= drain();
      return stopping;
    },
    renewLeases,
  };
}

/**
 * Fails a job that the scheduler removed because no quota will ever admit it or its model is missing. If the store does
 * not take that, the reconciler finds the job unfinished and it returns here.
 */
async function failImpossible(
  context: Pick<WorkerContext, "settings" | "store" | "scheduler" | "events" | "clock" | "log" | "metrics">,
  { jobId, reason }: AcquireResult["impossible"][number],
): Promise<void> {
  try {
    const record = await context.store.get(jobId, "none");
    if (record === undefined) return;
    const { models, scheduler } = context.settings;
    const { model, fallbackModels } = record.job;
    const known = [model, ...fallbackModels].some((alias) => Object.hasOwn(models, alias));
    const waitedS = Math.round(scheduler.missingModelWaitMs / 1000);
    const missing =
      `The configuration has no model ${model}. The job waited ${waitedS} s for it ` +
      `(scheduler.missingModelWaitMs). Send the job again with one of: ${Object.keys(models).join(", ")}.`;
    const error = known ? { code: "exceeds_quota", message: reason } : { code: "unknown_model", message: missing };
    const outcome = { status: "failed" as const, at: context.clock.wall(), error };
    await endJob(context, record.job, { ...outcome, ...costSoFar(record) });
    context.metrics?.jobsRepaired("impossible", 1);
  } catch (error) {
    context.log.error({ err: error, jobId, reason }, "failed to end a job that can never run");
  }
}
