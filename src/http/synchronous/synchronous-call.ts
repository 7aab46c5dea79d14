// Submits the job of a synchronous call, whose caller waits for the answer, and applies the rules for waiting and
// disconnecting.
import type { FastifyReply, FastifyRequest } from "fastify";
import Type from "typebox";
import type { Settings } from "../../config/settings.ts";
import { type ErrorCode, errorTable, quote, SluiceError } from "../../domain/errors.ts";
import { isErased, type Job, type JobRecord, type Priority, priorities } from "../../domain/job.ts";
import { type Caller, wasAbandoned } from "../../jobs/caller.ts";
import { takeAwaited } from "../../jobs/callers/caller-records.ts";
import type { CallersContext } from "../../jobs/callers/waiting-callers.ts";
import { pauseSentence } from "../../jobs/pause.ts";
import type { WaitOptions } from "../../jobs/read/wait.ts";
import { buildJob } from "../../jobs/submit/build-job.ts";
import { eraseAnswered } from "../../jobs/submit/ephemeral.ts";
import type { Once } from "../../jobs/submit/idempotency.ts";
import { type SubmitHooks, submitOnce } from "../../jobs/submit/submit.ts";
import type { SubmitInput } from "../../jobs/submit/submit-input.ts";
import type { Dialect } from "../../telemetry/metrics.ts";
import { environmentHeader, environmentOf } from "../environment-header.ts";
import { onceOfCall } from "../idempotency-header.ts";
import { submitHeaders } from "../trace-headers.ts";
import type { LimitHeaders } from "./quota-headers.ts";

/** Error codes that a call may return after its job was accepted. */
export const callErrors: ErrorCode[] = [
  ...(["provider_rejected", "content_filtered", "cancelled", "malformed_output", "model_unavailable"] as const),
  ...([
    "tries_exhausted",
    "unknown_end",
    "expired",
    "wait_timeout",
    "stream_interrupted",
    "caller_disconnected",
    "paused",
  ] as const),
];

/** The headers for the `headers` of a route's schema. */
export const callHeaders = Type.Object({
  ...submitHeaders.properties,
  ...environmentHeader,
  "x-sluice-keep": Type.Optional(
    Type.Enum(["true", "false"], {
      description:
        "true: the job continues after the caller disconnects. false: the caller cannot come back for the answer. Default: a caller with an Idempotency-Key, or whose client retries by itself, can come back for a while.",
    }),
  ),
});

/** Added to the longest wait, in milliseconds, so that a job that reaches its deadline is reported as expired. */
const graceMs = 5000;

export interface CallOptions {
  environment: string;
  priority: Priority;
  /** Whether the job continues after its caller disconnects. */
  keep: boolean;
  /** How the caller can come back for the answer. Absent if it cannot. */
  returnsBy?: "key" | "retry";
  /** Whether the client marked the request as a retry. */
  isRetry: boolean;
  once: Once | undefined;
  dialect: Dialect;
  /** Which large texts of the ended job the answer needs. Default: those of the answer. */
  texts?: WaitOptions["texts"];
  /** Maximum time to wait for the answer, in milliseconds. */
  waitMs: number;
  /** What happens to the job after `waitMs`. */
  afterWait: AfterWait;
}

/**
 * What happens after the longest wait.
 * - `expire`: the longest wait is also the job's deadline, unless the caller keeps the job or can come back with a key
 * - `return`: the job stays in the queue, and the error asks the caller to send the request again
 */
export type AfterWait = "expire" | "return";

/** A call that was read, with what its answer needs. */
export interface SynchronousCall {
  reply: FastifyReply;
  caller: Caller;
  options: CallOptions;
  input: SubmitInput;
  /** The headers with what is left of the quotas. Absent: the API has none. */
  limits?: LimitHeaders;
  /** Aborts when the caller can no longer be answered. */
  disconnected: AbortSignal;
  /** Aborts when the server closes, with the error as its reason. */
  closing: AbortSignal;
}

/**
 * Reads what a request says about its call outside of the body.
 * @param operation two operations never share an Idempotency-Key. Default: the dialect's name
 * @throws SluiceError `unknown_environment`, `invalid_request`
 */
export function readCallOptions(
  request: FastifyRequest,
  settings: Settings,
  dialect: Dialect,
  operation: string = dialect,
): CallOptions {
  const { headers, caller } = request;
  const keep = headers["x-sluice-keep"];
  if (keep !== undefined && keep !== "true" && keep !== "false") {
    throw new SluiceError("invalid_request", `x-sluice-keep must be true or false; got ${quote(String(keep))}.`, {
      field: "x-sluice-keep",
    });
  }
  const once = onceOfCall(request, operation);
  // SDKs that Stainless generates, such as OpenAI's, count their attempts from 0.
  const tries = headers["x-stainless-retry-count"];
  const returnsBy = once ? "key" : tries === undefined ? undefined : "retry";
  return {
    environment: environmentOf({ headers, caller }, settings),
    priority: highestOf(caller),
    keep: keep === "true",
    ...(keep !== "false" && returnsBy && { returnsBy }),
    isRetry: returnsBy === "retry" && /^[1-9]\d{0,3}$/.test(String(tries)),
    once,
    dialect,
    // The response repeats the request.
    ...(dialect === "responses" && { texts: "all" as const }),
    waitMs: settings.limits.maxChatWaitS * 1000 + graceMs,
    afterWait: "expire",
  };
}

function highestOf({ priorityMax }: Caller): Priority {
  return priorityMax ?? priorities[0];
}

export interface SubmittedCall {
  job: Job;
  /** Whether the job existed already because its caller came back. */
  returned: boolean;
}

/**
 * Submits the job of a synchronous call, or finds the job that its caller came back for.
 * @param streamed whether the answer is a stream, which can report a pause; other calls are refused during a pause
 * @param onNew as for `submitOnce`
 * @throws SluiceError as `submitOnce`, and `paused`
 */
export async function submitCall(
  context: CallersContext,
  input: SubmitInput,
  caller: Caller,
  options: CallOptions,
  { streamed, onNew }: { streamed: boolean } & Pick<SubmitHooks, "onNew">,
): Promise<SubmittedCall> {
  const wanted = withWaitingCaller(context, input, options);
  if (options.isRetry) {
    await context.callers.settled();
    const awaited = await takeAwaited(context, await buildJob(context, wanted, caller));
    if (awaited) return { job: awaited.job, returned: true };
  }
  let returned = true;
  const hooks = {
    dialect: options.dialect,
    async beforeNew(job: Job) {
      const pause = streamed ? undefined : await context.pauses.of(job);
      if (pause) throw new SluiceError("paused", pauseSentence(pause));
    },
    onNew(job: Job) {
      returned = false;
      onNew?.(job);
    },
  };
  const job = await submitOnce(context, wanted, caller, options.once, hooks);
  return { job, returned };
}

/** Records that a caller waits for the job, and sets the deadline that `AfterWait` asks for. */
function withWaitingCaller(
  { callers, settings }: CallersContext,
  input: SubmitInput,
  { keep, returnsBy, afterWait }: CallOptions,
): SubmitInput {
  if (keep) return input;
  const waitingCaller = callers.mark(returnsBy);
  if (returnsBy === "key" || afterWait === "return") return { ...input, waitingCaller };
  const expiresInMs = Math.min(input.expiresInMs ?? Number.POSITIVE_INFINITY, settings.limits.maxChatWaitS * 1000);
  return { ...input, waitingCaller, expiresInMs };
}

/** Names the job, and the tokens that quotas reserve for one call of it, in the reply's headers. */
export function nameJob(reply: FastifyReply, { id, tokens }: Job): void {
  reply.headers({ "x-sluice-job-id": id, "x-sluice-reserved-tokens": String(tokens.input + tokens.output) });
}

/**
 * Waits for a job whose caller is connected. When the caller gets its answer or disconnects, the rule in
 * jobs/callers/waiting-callers.ts decides what happens to the job.
 * @param wait returns the job as it was when the waiting ended
 */
export async function whileCallerWaits(
  context: CallersContext,
  { job, returned }: SubmittedCall,
  { options: { keep, afterWait }, disconnected }: Pick<SynchronousCall, "options" | "disconnected">,
  wait: () => Promise<JobRecord>,
): Promise<JobRecord> {
  let record: JobRecord | undefined;
  try {
    await context.callers.connect(job, { returned, keep });
    record = await wait();
    return record;
  } finally {
    const ended = record?.outcome !== undefined;
    const isExpected = record !== undefined && !ended && afterWait === "return" && !disconnected.aborted;
    await context.callers.disconnect(job, { ended, isAnswered: !disconnected.aborted, isExpected });
    if (record) await eraseAnswered(context, record);
  }
}

/**
 * Runs a call. From its caller's disconnect until that is recorded, repeated requests wait: the client may come back at
 * once.
 */
export function runCall<T>(
  { callers }: Pick<CallersContext, "callers">,
  { disconnected }: Pick<SynchronousCall, "disconnected">,
  run: () => Promise<T>,
): Promise<T> {
  const call = run();
  const leave = () => callers.leaves(call);
  if (disconnected.aborted) leave();
  else disconnected.addEventListener("abort", leave, { once: true });
  return call;
}

/** Returns why there is no answer, or undefined if there is one. */
export function failureOf(
  { job, outcome }: JobRecord,
  { closing, options }: Pick<SynchronousCall, "closing" | "options">,
): SluiceError | undefined {
  const jobId = job.id;
  if (!outcome) {
    if (closing.aborted) return closing.reason as SluiceError;
    if (options.afterWait === "return") {
      const text = "The job still waits or runs. Send the same request again, and it waits for the same job.";
      return new SluiceError("still_waiting", text, { jobId, retryAfterS: 1 });
    }
    return new SluiceError("wait_timeout", "The job did not end within the longest wait (limits.maxChatWaitS).", {
      jobId,
    });
  }
  switch (outcome.status) {
    case "completed":
      // The caller repeated an Idempotency-Key whose job was erased.
      if (!isErased(job.request)) return undefined;
      return new SluiceError(
        "conflict",
        "The job was already answered, and its texts were erased. Use a new Idempotency-Key.",
        { jobId },
      );
    case "cancelled":
      // The error omits the job's id, because repeating the request creates a new job.
      if (wasAbandoned({ outcome })) return new SluiceError("caller_disconnected", outcome.error!.message);
      return new SluiceError("cancelled", "The job was cancelled.", { jobId });
    default: {
      const { code = outcome.status, message = `The job has ${outcome.status}.` } = outcome.error ?? {};
      return new SluiceError(Object.hasOwn(errorTable, code) ? (code as ErrorCode) : "internal", message, { jobId });
    }
  }
}
