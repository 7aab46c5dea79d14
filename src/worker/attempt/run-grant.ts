// One granted job, from the attempt's record to the settled charge:
//
//   begin attempt (durable) -> still in time? -> call -> outcome or attempt's end (durable) -> settle
//
// The order is the promise. A crash before the call leaves an attempt without an end, so what may have been billed is
// on record; a crash after the outcome finds the job ended and never calls again.
import { isUnknown } from "../../domain/attempts.ts";
import { type AttemptEnd, isFinal, type Job } from "../../domain/job.ts";
import { outcomeCost } from "../../domain/usage.ts";
import type { CancelledBatches } from "../../jobs/batches/cancelled-batches.ts";
import { type ProviderAnswer, ProviderError, type ProviderFailure } from "../../providers/provider.ts";
import type { Settlement } from "../../scheduler/scheduler.ts";
import type { WorkerContext } from "../worker-context.ts";
import { priced } from "./call-cost.ts";
import { CallText } from "./call-text.ts";
import { type Disposition, deadlinePassed, dispositionOf, dispositionOfAbort, type Tried } from "./disposition.ts";
import { OutputMeter, outputOf, withEstimate } from "./estimate.ts";
import { GrantRecord } from "./grant-record.ts";
import type { RunningCall } from "./running-call.ts";
import { turnToLeave } from "./send-slots.ts";
import { usageCharge } from "./usage-charge.ts";

interface Begun extends Tried {
  job: Job;
}

/** Of a grant whose call never left: nothing was billed, nothing was learned. */
const notSent = { charge: "void", signal: { kind: "none" } } as const satisfies Partial<Settlement>;

/**
 * Takes a granted job through one attempt. Resolves when all is on record and settled.
 * @param cancelled asked before the call of a batch's line
 * @param giveUp aborted when the process cannot wait any longer for a store that is away
 */
export async function runGrant(
  context: WorkerContext,
  call: RunningCall,
  cancelled: CancelledBatches,
  giveUp: AbortSignal,
): Promise<void> {
  const record = new GrantRecord(context, call, giveUp);
  const text = new CallText(context.events);
  const unsubscribe = context.events.subscribe(
    call.grant.jobId,
    (event) => {
      if (event.type === "state" && isFinal(event.state)) call.abort("ended");
    },
    "states",
    text.again,
  );
  try {
    const begun = await begin(context, record);
    if (begun === undefined || (await isUnwanted(context, begun, record, cancelled))) return;
    if (!(await inTime(context, call, begun, record))) return;
    record.publishState("in_progress");
    const { end, disposition, answer } = await callProvider(context, call, begun, text);
    if (disposition === undefined) {
      await recordAnswer(begun, answer, end, record);
      const usage = answer.quotaUsage ?? answer.usage;
      if (usage) context.usageMeter?.observe(begun.job.request, begun.attempt.model, usage);
    } else await recordFailure(begun, disposition, end, record, call);
  } finally {
    unsubscribe();
  }
}

/** Writes the attempt. Undefined if there is nothing to call: then the grant is settled already. */
async function begin(context: WorkerContext, record: GrantRecord): Promise<Begun | undefined> {
  const result = await record.beginAttempt();
  if (result.status === "begun") {
    const last = result.earlier.at(-1);
    if (last && isUnknown(last)) {
      const { id: jobId, environment, model } = result.job;
      const { n: attempt, deployment } = result.attempt;
      context.log.info({ jobId, environment, model, deployment, attempt }, "repeating a call whose end is unknown");
    }
    return result;
  }
  if (result.status === "refused") {
    await record.finish({ status: "failed", at: context.clock.wall(), error: result.error });
  }
  await record.settle({ job: "ended", ...notSent });
  return undefined;
}

/** Whether the job's batch was cancelled: then no call is made, whatever became of earlier ones, and the job has ended. */
async function isUnwanted(
  context: WorkerContext,
  begun: Begun,
  record: GrantRecord,
  cancelled: CancelledBatches,
): Promise<boolean> {
  if (!(await record.isOfCancelledBatch(cancelled))) return false;
  const at = context.clock.wall();
  const end: AttemptEnd = { result: "not_sent", at };
  await record.finish({ status: "cancelled", at, ...outcomeCost(begun.earlier) }, { n: begun.attempt.n, end });
  await record.settle({ job: "ended", ...notSent });
  return true;
}

/**
 * Whether the call may leave now; if not, the grant is settled already. The charge is only true if the call leaves at
 * once: after a slow commit or a frozen process it is moved to now, if the quotas admit that. A stall of 5 s would
 * otherwise put 107 % of a quota into one window.
 */
async function inTime(context: WorkerContext, call: RunningCall, begun: Begun, record: GrantRecord): Promise<boolean> {
  const { n } = begun.attempt;
  for (await turnToLeave(); call.cause === undefined; await turnToLeave()) {
    const now = context.clock.now();
    if (now <= call.sendBy) {
      const { expiresAt } = begun.job;
      if (expiresAt === undefined || context.clock.wall() < expiresAt) return true;
      call.abort("expired");
      break;
    }
    const moved = await record.recharge(now);
    if (moved.status === "recharged") {
      call.sendBy = now + moved.sendWithinMs;
    } else {
      await record.endAttempt(n, { result: "not_sent", at: context.clock.wall() });
      if (moved.status === "refused") record.publishState("queued");
      await record.settle({ job: { requeueAfterMs: 0 }, ...notSent });
      return false;
    }
  }

  const { cause } = call;
  call.decide();
  const at = context.clock.wall();
  const end: AttemptEnd = { result: "not_sent", at };
  if (cause === "expired") {
    const outcome = { status: "expired", at, error: deadlinePassed, ...outcomeCost(begun.earlier) } as const;
    await record.finish(outcome, { n, end });
  } else {
    await record.endAttempt(n, end);
  }
  if (cause === "ended" || cause === "expired") {
    await record.settle({ job: "ended", ...notSent });
  } else {
    if (cause === "shutdown") record.publishState("queued");
    await record.settle({ job: { requeueAfterMs: 0 }, ...notSent });
  }
  return false;
}

type Called = { end: AttemptEnd } & (
  | { answer: ProviderAnswer; disposition?: undefined }
  | { disposition: Disposition; answer?: undefined }
);

async function callProvider(context: WorkerContext, call: RunningCall, begun: Begun, text: CallText): Promise<Called> {
  const { job } = begun;
  const meter = new OutputMeter();
  const sentAt = context.clock.now();
  const timed = () => ({ at: context.clock.wall(), durationMs: Math.round(context.clock.now() - sentAt) });
  const stopDeadline = job.expiresAt === undefined ? undefined : expireAt(context, call, job.expiresAt);
  text.begin(begun.attempt, begun.earlier);
  try {
    const answer = await context.providers.get(call.grant.deployment)!.call({
      request: job.request,
      signal: call.signal,
      onText: text.say,
      onOutput: meter.add,
    });
    call.decide();
    const { usage, requestId, serviceTier } = answer;
    const firstTokenMs = answer.firstTokenMs === undefined ? undefined : Math.round(answer.firstTokenMs);
    const known: AttemptEnd = { result: "completed", ...timed(), usage, requestId, serviceTier, firstTokenMs };
    const end = withEstimate(known, begun.attempt, outputOf(answer));
    return { answer, end: withoutUndefined(priced(context.settings, begun, end)) };
  } catch (error) {
    call.decide();
    const failure = failureOf(context, begun, error);
    const disposition = decideDisposition(context, call, begun, failure);
    const known: AttemptEnd = { ...disposition.attempt, ...timed() };
    const end = failure.maybeBilled ? withEstimate(known, begun.attempt, meter.tokens) : known;
    return { disposition, end: withoutUndefined(priced(context.settings, begun, end)) };
  } finally {
    stopDeadline?.();
  }
}

/** A process that was frozen finds its timers due before it reads its sockets: an answer that is there is taken first. */
const wakingMs = 2_000;

/** Cuts the call off at the job's deadline. Returns the function that cancels this. */
function expireAt({ clock, timers }: WorkerContext, call: RunningCall, expiresAt: number): () => void {
  let cancel = timers.after(expiresAt - clock.wall(), () => {
    if (clock.wall() - expiresAt < wakingMs) call.abort("expired");
    else cancel = timers.after(wakingMs, () => call.abort("expired"));
  });
  return () => cancel();
}

function failureOf({ log }: WorkerContext, { job }: Begun, error: unknown): ProviderFailure {
  if (error instanceof ProviderError) return error.failure;
  log.error({ err: error, jobId: job.id }, "caught an error of a provider that is not a ProviderError");
  const message = "The call failed inside the service; its log has the details.";
  return { kind: "transient", code: "internal", message, maybeBilled: true };
}

function decideDisposition(
  context: WorkerContext,
  call: RunningCall,
  begun: Begun,
  failure: ProviderFailure,
): Disposition {
  const policy = { ...context.settings.worker, random: context.random };
  // What the provider said before the abort reached it is known.
  return call.cause === undefined || failure.kind !== "aborted"
    ? dispositionOf(failure, begun, policy)
    : dispositionOfAbort(call.cause, begun, failure, policy);
}

async function recordAnswer(begun: Begun, answer: ProviderAnswer, end: AttemptEnd, record: GrantRecord): Promise<void> {
  const { text, toolCalls, finishReason, usage } = answer;
  const { deployment, model, n } = begun.attempt;
  await record.finish(
    withoutUndefined({
      status: "completed",
      at: end.at,
      text,
      toolCalls: toolCalls.length > 0 ? toolCalls : undefined,
      finishReason,
      usage,
      deployment,
      model,
      attempt: n,
      ...outcomeCost([...begun.earlier, { ...begun.attempt, end }]),
    }),
    { n, end },
  );
  const counted = answer.quotaUsage ?? usage;
  const charge = counted === undefined ? "keep" : usageCharge(counted, begun.attempt.reserved);
  await record.settle({ job: "ended", charge, signal: { kind: "ok" } });
}

async function recordFailure(
  begun: Begun,
  disposition: Disposition,
  end: AttemptEnd,
  record: GrantRecord,
  { leaseLost }: RunningCall,
): Promise<void> {
  const { deployment, model, n } = begun.attempt;
  const cost = outcomeCost([...begun.earlier, { ...begun.attempt, end }]);
  if (disposition.outcome !== undefined) {
    await record.finish({ ...disposition.outcome, at: end.at, deployment, model, attempt: n, ...cost }, { n, end });
  } else {
    await record.endAttempt(n, end);
    // Another worker says what becomes of a job whose lease was lost.
    if (disposition.settlement.job !== "ended" && !leaseLost) record.publishState("queued");
  }
  const answer = await record.settle(disposition.settlement);
  if (answer !== "rejected" || disposition.rejection === undefined) return;
  await record.finish({
    status: "failed",
    at: end.at,
    error: disposition.rejection,
    deployment,
    model,
    attempt: n,
    ...cost,
  });
}

/** A record holds what is known: absent and undefined are not the same once it is compared or written as JSON. */
function withoutUndefined<T extends object>(record: T): T {
  for (const key of Object.keys(record) as (keyof T)[]) if (record[key] === undefined) delete record[key];
  return record;
}
