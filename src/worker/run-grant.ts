// One granted job, from the attempt's record to the settled charge:
//
//   begin attempt (durable) -> still in time? -> call -> outcome or attempt's end (durable) -> settle
//
// The order is the promise. A crash before the call leaves an attempt without an end, so what may have been billed is
// on record; a crash after the outcome finds the job ended and never calls again.
import type { AttemptEnd, Job } from "../domain/job.ts";
import { isFinal } from "../domain/job.ts";
import type { ProviderAnswer } from "../providers/provider.ts";
import { ProviderError } from "../providers/provider.ts";
import type { Settlement } from "../scheduler/scheduler.ts";
import { CallText } from "./call-text.ts";
import type { WorkerContext } from "./context.ts";
import { priced, totalCost } from "./cost.ts";
import { GrantRecord } from "./grant-record.ts";
import type { AbortCause, RunningCall } from "./running-call.ts";
import { turnToLeave } from "./turns.ts";
import { usageCharge } from "./usage-charge.ts";
import { deadlinePassed, judge, judgeAbort, type Tried, type Verdict } from "./verdict.ts";

interface Begun extends Tried {
  job: Job;
}

/** Of a grant whose call never left: nothing was billed, nothing was learned. */
const notSent = { charge: "void", signal: { kind: "none" } } as const satisfies Partial<Settlement>;

/**
 * Takes a granted job through one attempt. Resolves when all is on record and settled.
 * @param giveUp aborted when the process cannot wait any longer for a store that is away
 */
export async function runGrant(context: WorkerContext, call: RunningCall, giveUp: AbortSignal): Promise<void> {
  const record = new GrantRecord(context, call.grant, giveUp);
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
    if (begun === undefined || !(await inTime(context, call, begun, record))) return;
    record.publishState("in_progress");
    const { end, verdict, answer } = await callProvider(context, call, begun, text);
    if (verdict === undefined) {
      await recordAnswer(begun, answer, end, record);
      const usage = answer.quotaUsage ?? answer.usage;
      if (usage) context.usageMeter?.observe(begun.job.request, begun.attempt.model, usage);
    } else await recordFailure(begun, verdict, end, record, call.cause);
  } finally {
    unsubscribe();
  }
}

/** Writes the attempt. Undefined if there is nothing to call: then the grant is settled already. */
async function begin(context: WorkerContext, record: GrantRecord): Promise<Begun | undefined> {
  const result = await record.beginAttempt();
  if (result.status === "begun") return result;
  if (result.status === "refused") {
    await record.finish({ status: "failed", at: context.clock.wall(), error: result.error });
  }
  await record.settle({ job: "ended", ...notSent });
  return undefined;
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
    const moved = await record.restamp(now);
    if (moved.status === "restamped") {
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
    const costNanoUsd = totalCost(begun, end);
    await record.finish(withoutUndefined({ status: "expired", at, error: deadlinePassed, costNanoUsd }), { n, end });
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
  | { answer: ProviderAnswer; verdict?: undefined }
  | { verdict: Verdict; answer?: undefined }
);

async function callProvider(context: WorkerContext, call: RunningCall, begun: Begun, text: CallText): Promise<Called> {
  const { job } = begun;
  const sentAt = context.clock.now();
  const timed = () => ({ at: context.clock.wall(), durationMs: Math.round(context.clock.now() - sentAt) });
  const cancelDeadline =
    job.expiresAt === undefined
      ? undefined
      : context.timers.after(job.expiresAt - context.clock.wall(), () => call.abort("expired"));
  text.begin(begun.attempt, begun.earlier);
  try {
    const answer = await context.providers.get(call.grant.deployment)!.call({
      request: job.request,
      signal: call.signal,
      onText: text.say,
    });
    call.decide();
    const { usage, requestId, serviceTier } = answer;
    const firstTokenMs = answer.firstTokenMs === undefined ? undefined : Math.round(answer.firstTokenMs);
    const end: AttemptEnd = { result: "completed", ...timed(), usage, requestId, serviceTier, firstTokenMs };
    return { answer, end: withoutUndefined(priced(context.settings, begun, end)) };
  } catch (error) {
    call.decide();
    const verdict = verdictOn(context, call, begun, error);
    const end: AttemptEnd = { ...verdict.attempt, ...timed() };
    return { verdict, end: withoutUndefined(priced(context.settings, begun, end)) };
  } finally {
    cancelDeadline?.();
  }
}

function verdictOn(context: WorkerContext, call: RunningCall, begun: Begun, error: unknown): Verdict {
  const failure = error instanceof ProviderError ? error.failure : undefined;
  if (call.cause !== undefined) return judgeAbort(call.cause, begun, failure?.usage);
  const policy = { ...context.settings.worker, random: context.random };
  if (failure !== undefined) return judge(failure, begun, policy);
  context.log.error({ err: error, jobId: begun.job.id }, "a provider threw something that is no ProviderError");
  const message = "The call failed inside the service; its log has the details.";
  return judge({ kind: "transient", code: "internal", message, maybeBilled: true }, begun, policy);
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
      costNanoUsd: totalCost(begun, end),
    }),
    { n, end },
  );
  const counted = answer.quotaUsage ?? usage;
  const charge = counted === undefined ? "keep" : usageCharge(counted, begun.attempt.reserved);
  await record.settle({ job: "ended", charge, signal: { kind: "ok" } });
}

async function recordFailure(
  begun: Begun,
  verdict: Verdict,
  end: AttemptEnd,
  record: GrantRecord,
  cause: AbortCause | undefined,
): Promise<void> {
  const { deployment, model, n } = begun.attempt;
  if (verdict.outcome !== undefined) {
    const costNanoUsd = totalCost(begun, end);
    await record.finish(
      withoutUndefined({ ...verdict.outcome, at: end.at, deployment, model, attempt: n, costNanoUsd }),
      { n, end },
    );
  } else {
    await record.endAttempt(n, end);
    const handedBack = verdict.settlement.job !== "ended" && cause !== "lease_lost";
    if (handedBack) record.publishState("queued");
  }
  const answer = await record.settle(verdict.settlement);
  if (answer !== "rejected" || verdict.rejection === undefined) return;
  const costNanoUsd = totalCost(begun, end);
  const outcome = { status: "failed", at: end.at, error: verdict.rejection, deployment, model, attempt: n } as const;
  await record.finish(withoutUndefined({ ...outcome, costNanoUsd }));
}

/** A record holds what is known: absent and undefined are not the same once it is compared or written as JSON. */
function withoutUndefined<T extends object>(record: T): T {
  for (const key of Object.keys(record) as (keyof T)[]) if (record[key] === undefined) delete record[key];
  return record;
}
