// Accepts jobs: builds and checks them, reserves what their keys' limits count, stores them durably and queues them.
import { SluiceError } from "../../domain/errors.ts";
import type { Job } from "../../domain/job.ts";
import type { Dialect } from "../../telemetry/metrics.ts";
import { type Caller, keylessCaller, wasAbandoned } from "../caller.ts";
import type { JobsContext } from "../jobs-context.ts";
import { queueEntryOf } from "../queue-entry.ts";
import { expectDeliveries } from "../webhooks/webhook-records.ts";
import { buildJob } from "./build-job.ts";
import { markEphemeral } from "./ephemeral.ts";
import { bindOnce, findOnce, type Once } from "./idempotency.ts";
import { inSendSpan, jobAttributes } from "./send-span.ts";
import type { SubmitInput } from "./submit-input.ts";

/**
 * Accepts all of the jobs or none. When it resolves they are durable.
 * @throws SluiceError of one of the 4xx codes, with the field at fault; or what the store throws
 */
export async function submit(
  context: JobsContext,
  inputs: readonly SubmitInput[],
  caller: Caller = keylessCaller,
): Promise<Job[]> {
  const jobs: Job[] = [];
  for (const input of inputs) jobs.push(await buildJob(context, input, caller));
  await accept(context, jobs);
  return jobs;
}

export interface SubmitHooks {
  /** Runs before a new job is accepted, not for one that is found. What it throws refuses the job. */
  beforeNew?: (job: Job) => Promise<void>;
  /** Receives a new job before it is stored, so that a listener misses no event. */
  onNew?: (job: Job) => void;
  /** The API that the job came through. Default: `jobs`. */
  dialect?: Dialect;
}

/**
 * Accepts a job, or returns the job that was accepted under the same key before. A job that was cancelled because its
 * caller disconnected was never answered, so it does not count and a new one is accepted.
 * @throws SluiceError as `submit`, and `idempotency_conflict`
 */
export async function submitOnce(
  context: JobsContext,
  input: SubmitInput,
  caller: Caller,
  once: Once | undefined,
  { beforeNew, onNew, dialect }: SubmitHooks = {},
): Promise<Job> {
  const startedAt = context.clock.wall();
  const find = (id: string) => findSubmitted(context, id);
  const submitted = await findOnce(context, caller, once, find);
  if (submitted) return submitted;

  const checked = await buildJob(context, input, caller);
  await context.limits?.check([checked]);
  await beforeNew?.(checked);

  const { id, existing } = await bindOnce(context, caller, once, () => checked.id, find);
  if (existing) return existing;
  const job = id === checked.id ? checked : { ...checked, id };
  return inSendSpan(context, job, startedAt, jobAttributes, async (sent) => {
    onNew?.(sent);
    await accept(context, [sent], dialect);
    return sent;
  });
}

/** Returns null for a job that was cancelled because its caller disconnected. */
async function findSubmitted({ store }: JobsContext, id: string): Promise<Job | null | undefined> {
  const record = await store.get(id);
  return record && wasAbandoned(record) ? null : record?.job;
}

/**
 * Reserves what the limits count, stores jobs and queues the new ones. A job that cannot be queued now is still
 * accepted: the store is the truth, and the reconciler adds what the queue lacks.
 * @param jobs jobs of one key: lines of one batch, or none of them a line
 * @param dialect the API that they came through, unless they are lines of a batch or retries
 * @throws SluiceError of the limits; what the store throws, and then the reservations are released
 */
export async function accept(context: JobsContext, jobs: readonly Job[], dialect: Dialect = "jobs"): Promise<void> {
  await context.limits?.reserve(jobs);
  const inserted = await storeReserved(context, jobs);
  for (const job of inserted) {
    context.metrics?.jobSubmitted(job, job.batchId ? "batch" : job.retryOf ? "retry" : dialect);
    context.startSamples?.observe(job);
  }
  publishQueued(context, inserted);
  await enqueue(context, inserted);
}

/** Stores jobs and returns those that are new. Releases their reservations if they cannot be stored. */
async function storeReserved(context: JobsContext, jobs: readonly Job[]): Promise<Job[]> {
  const { store, limits } = context;
  let isTried = false;
  try {
    await markEphemeral(context, jobs);
    await expectDeliveries(context, jobs);
    isTried = true;
    const results = await store.insertMany(jobs);
    limits?.commit(jobs);
    return jobs.filter((_, i) => results[i] === "inserted");
  } catch (error) {
    const mayBeStored = isTried && error instanceof SluiceError && error.code === "fate_unknown";
    if (mayBeStored) limits?.commit(jobs);
    // `tidy` releases what this fails to release, because the jobs never come.
    else await limits?.release(jobs).catch(() => {});
    if (mayBeStored && jobs.length === 1) {
      throw new SluiceError("fate_unknown", error.message, { ...error.details, jobId: jobs[0]!.id }, { cause: error });
    }
    throw error;
  }
}

function publishQueued({ events }: JobsContext, inserted: readonly Job[]): void {
  for (const { id, environment, submittedAt } of inserted) {
    // The caller gets the id after this, so only a caller that waits in this process can listen already.
    events.publish({ type: "state", jobId: id, environment, state: "queued", at: submittedAt }, "process");
  }
  events.publishAccepted(inserted);
}

async function enqueue({ scheduler, clock, log }: JobsContext, inserted: readonly Job[]): Promise<void> {
  if (inserted.length === 0) return;
  try {
    const now = clock.wall();
    await scheduler.enqueue(inserted.map((job) => queueEntryOf(job, now)));
  } catch (error) {
    log.warn({ err: error, jobs: inserted.length }, "failed to queue accepted jobs; the reconciler adds them");
  }
}
