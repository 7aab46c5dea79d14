// Stores what other processes must know about the callers of synchronous calls: the process to which a caller came
// back, and the jobs whose callers may repeat the request without a key. Both are written when a caller disconnects or
// returns, never for a call that is simply answered.

import { newToken } from "../../domain/ids.ts";
import type { Job, JobHead, JobRecord } from "../../domain/job.ts";
import { serviceCollection, timeKey } from "../../store/collection.ts";
import { wasAbandoned } from "../caller.ts";
import type { JobsContext } from "../jobs-context.ts";
import { digestOf } from "../submit/idempotency.ts";

type Context = Pick<JobsContext, "store" | "clock">;

/** The process whose caller waits for a job. Without a record it is the process of the job's own `waitingCaller`. */
export interface Holder {
  processId: string;
  /** Whether the caller requested to keep the job, so that it runs in any case. */
  isKept?: boolean;
}

/** By job. */
const holders = serviceCollection<Holder>({ stored: "idempotency_keys", id: "caller/*" });
const awaitedJobs = serviceCollection<Awaited>({ stored: "controls", id: "awaited/*", order: "awaited/" });
/** Awaited jobs to which a caller has returned. */
const takenJobs = serviceCollection<null>({ stored: "idempotency_keys", id: "taken/awaited/*" });

const readAtOnce = 1000;
/** Time after which no caller comes back, in milliseconds. */
const keptMs = 24 * 3_600_000;

/**
 * Records that a caller came back. The last one to come back counts. The sweep of idempotency keys removes the record.
 */
export async function putHolder({ store, clock }: Context, jobId: string, holder: Holder): Promise<void> {
  await holders(store).put({ id: jobId, order: timeKey(clock.wall()), value: holder });
}

/** Returns the process whose caller waits for each of these jobs. */
export async function readHolders({ store }: Context, jobs: readonly JobHead[]): Promise<Map<string, Holder>> {
  const found = new Map<string, Holder>();
  for (let from = 0; from < jobs.length; from += readAtOnce) {
    const part = jobs.slice(from, from + readAtOnce);
    const recorded = await holders(store).getMany(part.map(({ id }) => id));
    for (const { id, waitingCaller } of part) {
      const holder = recorded.get(id) ?? (waitingCaller && { processId: waitingCaller.processId });
      if (holder) found.set(id, holder);
    }
  }
  return found;
}

// ---------------------------------------------------------------- repeated requests

interface Awaited {
  jobId: string;
  /** Milliseconds since the epoch. */
  at: number;
}

/** Records that a job waits for its caller to repeat the request. May be repeated. */
export async function awaitRetry({ store, clock }: Context, job: Job): Promise<void> {
  const prefix = prefixOf(job);
  for await (const { value } of awaitedJobs(store).all({ prefix })) if (value.jobId === job.id) return;
  const at = clock.wall();
  await awaitedJobs(store).insert({ id: `${prefix}${timeKey(at)}/${newToken()}`, value: { jobId: job.id, at } });
}

/**
 * Returns the oldest job that waits for this request to be repeated, or undefined. Each job is returned to one caller
 * only.
 * @param job the job built from the repeated request
 */
export async function takeAwaited({ store, clock }: Context, job: Job): Promise<JobRecord | undefined> {
  const prefix = prefixOf(job);
  for await (const { id, value } of awaitedJobs(store).all({ prefix })) {
    const isFirst = await takenJobs(store).insert({ id, order: timeKey(clock.wall()), value: null });
    await awaitedJobs(store).remove(id);
    if (!isFirst) continue;
    const record = await store.get(value.jobId);
    if (record && !wasAbandoned(record)) return record;
  }
  return undefined;
}

/** Removes records of callers that can no longer come back. */
export async function sweepAwaited({ store, clock }: Context): Promise<void> {
  for await (const page of awaitedJobs(store).pages()) {
    const old = page.filter(({ value }) => value.at < clock.wall() - keptMs);
    await awaitedJobs(store).remove(...old.map(({ id }) => id));
  }
}

/** Returns a prefix that equal requests of one key share. */
function prefixOf(job: Job): string {
  const { tenant, keyId, environment, priority, model, fallbackModels, regions, onUnknown, metadata } = job;
  const { ephemeral, webhookUrl, request } = job;
  const head = [tenant, keyId, environment, priority, model, fallbackModels, regions, onUnknown, metadata];
  return `${digestOf("repeated request", [...head, ephemeral, webhookUrl, request])}/`;
}
