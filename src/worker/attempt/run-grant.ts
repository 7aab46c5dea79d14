// Runs one granted job, from the record of its attempt to the settled charge:
//
//   begin attempt (durable) -> may it be sent now? -> call -> outcome or attempt's end (durable) -> settle
//
// The order matters. A crash before the call leaves an attempt without an end, so a possibly billed call is recorded. A
// crash after the outcome finds the job ended, so the job is never called again.
import { isUnknown } from "../../domain/attempts.ts";
import { isFinal } from "../../domain/job.ts";
import type { CancelledBatches } from "../../jobs/batches/cancelled-batches.ts";
import type { WorkerContext } from "../worker-context.ts";
import { AttemptSpans } from "./attempt-spans.ts";
import { type Begun, callProvider } from "./call-provider.ts";
import { CallText } from "./call-text.ts";
import { dispositionOfUnsent, type EndedAttempt, type UnsentCause } from "./disposition.ts";
import { discardParts, joinParts, withPart } from "./embedding-parts.ts";
import { GrantRecord } from "./grant-record.ts";
import type { RunningCall } from "./running-call.ts";
import type { SendSlots } from "./send-slots.ts";

/** State that all calls of one worker share. */
export interface WorkerShared {
  context: WorkerContext;
  cancelledBatches: CancelledBatches;
  sendSlots: SendSlots;
  /** Aborts when the process can no longer wait for an unavailable store. */
  giveUp: AbortSignal;
}

/** Runs one attempt of a granted job. Resolves when everything is recorded and settled. */
export async function runGrant(shared: WorkerShared, call: RunningCall): Promise<void> {
  const { context } = shared;
  const record = new GrantRecord(context, call, shared.giveUp);
  const text = new CallText(context.events);
  const unsubscribe = context.events.subscribe(
    call.grant.jobId,
    (event) => {
      if (event.type === "state" && isFinal(event.state)) call.abort("ended");
    },
    "states",
    text.republish,
  );
  try {
    const begun = await begin(context, record);
    if (begun === undefined) return;
    const { job, attempt, earlier } = begun;
    const waited = context.waits?.split(job, attempt, earlier);
    const spans = context.tracing && new AttemptSpans(context, context.tracing, begun, waited);
    const cause = await whyNotSend(shared, call, begun, record);
    if (cause === undefined) begins(context, begun, record);
    const span = cause === undefined ? spans?.startCall() : undefined;
    const trace = span?.trace ?? job.trace;
    const result =
      cause === undefined
        ? await callProvider(context, call, begun, { text, onSent: record.noteSent, ...(trace && { trace }) })
        : unsent(context, call, cause);
    span?.end(result);
    const ended = await joinParts(context, begun, result, record);
    await record.conclude(begun, waited ? { ...ended, end: { ...ended.end, waited } } : ended);
    await discardParts(context, begun, ended);
  } finally {
    unsubscribe();
  }
}

function begins({ clock, metrics }: WorkerContext, { job, earlier }: Begun, record: GrantRecord): void {
  record.publishState("in_progress");
  if (earlier.length === 0) metrics?.callStarted(job, clock.wall() - Math.max(job.submittedAt, job.notBefore ?? 0));
}

/** Writes the attempt. Returns undefined if there is nothing to call; the grant is then already settled. */
async function begin(context: WorkerContext, record: GrantRecord): Promise<Begun | undefined> {
  const { log, clock } = context;
  const result = await record.beginAttempt();
  if (result.status === "begun") {
    const last = result.earlier.at(-1);
    if (last && isUnknown(last)) {
      const { id: jobId, environment, model } = result.job;
      const { n: attempt, deployment } = result.attempt;
      log.info({ jobId, environment, model, deployment, attempt }, "started to repeat a call whose result is unknown");
    }
    return withPart(context, result, record);
  }
  if (result.status === "refused") {
    await record.finish({ status: "failed", at: clock.wall(), error: result.error });
  }
  await record.settle(dispositionOfUnsent("ended").settlement);
  return undefined;
}

/**
 * Returns why the call must not be sent, or undefined if it must be sent now. The charge is valid only for an immediate
 * call. After a slow commit or a frozen process it is moved to now, if the quotas admit that. Otherwise a stall of 5 s
 * would put 107 % of a quota into one window.
 */
async function whyNotSend(
  { context: { clock }, cancelledBatches, sendSlots }: WorkerShared,
  call: RunningCall,
  { job: { expiresAt } }: Begun,
  record: GrantRecord,
): Promise<UnsentCause | undefined> {
  if (await record.isOfCancelledBatch(cancelledBatches)) return "cancelled";
  for (;;) {
    await sendSlots.next();
    if (call.cause !== undefined) return call.cause;
    const now = clock.now();
    if (now <= call.sendBy) return expiresAt !== undefined && clock.wall() >= expiresAt ? "expired" : undefined;
    const moved = await record.recharge(now);
    if (moved.status !== "recharged") {
      call.leaseLost ||= moved.status === "lost";
      return "late";
    }
    call.sendBy = now + moved.sendWithinMs;
  }
}

function unsent({ clock }: WorkerContext, call: RunningCall, cause: UnsentCause): EndedAttempt {
  call.decide();
  const disposition = dispositionOfUnsent(cause);
  return { disposition, end: { ...disposition.attempt, at: clock.wall() } };
}
