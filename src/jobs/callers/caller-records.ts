// What other processes must know about the callers of synchronous calls: which process a caller came back to, and which jobs wait
// for a caller that repeats its request without a key. Both are written when a caller disconnects or returns, never for a
// call that is simply answered.

import { newToken } from "../../domain/ids.ts";
import type { Job, JobHead, JobRecord } from "../../domain/job.ts";
import { serviceCollection, timeKey } from "../../store/collection.ts";
import { wasAbandoned } from "../caller.ts";
import type { JobsContext } from "../jobs-context.ts";
import { digestOf } from "../submit/idempotency.ts";

type Context = Pick<JobsContext, "store" | "clock">;

/** Who waits for a job now. The process of the job's own `waitingCaller` if nothing is on record. */
export interface Holder {
  processId: string;
  /** The caller asked to keep the job: it is called in any case. */
  isKept?: boolean;
}

/** By job. */
const holders = serviceCollection<Holder>({ stored: "idempotency_keys", id: "caller/*" });
const awaitedJobs = serviceCollection<Awaited>({ stored: "controls", id: "awaited/*", order: "awaited/" });
/** Awaited jobs that a caller came back for. */
const takenJobs = serviceCollection<null>({ stored: "idempotency_keys", id: "taken/awaited/*" });

const readAtOnce = 1000;
/** No caller comes back after this. */
const keptMs = 24 * 3_600_000;

/** Records that a caller came back. The last one to come back counts. Swept with the idempotency keys. */
export async function putHolder({ store, clock }: Context, jobId: string, holder: Holder): Promise<void> {
  await holders(store).put({ id: jobId, order: timeKey(clock.wall()), value: holder });
}

/** Who waits for each of these jobs. */
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

/** Records that a job waits for its caller to repeat the request. Repeating this changes nothing. */
export async function awaitRetry({ store, clock }: Context, job: Job): Promise<void> {
  const prefix = prefixOf(job);
  for await (const { value } of awaitedJobs(store).all({ prefix })) if (value.jobId === job.id) return;
  const at = clock.wall();
  await awaitedJobs(store).insert({ id: `${prefix}${timeKey(at)}/${newToken()}`, value: { jobId: job.id, at } });
}

/**
 * The job that waits for this request to be repeated, the oldest first; undefined if there is none. Each job is given to
 * one caller only.
 * @param job what was built from the repeated request
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

/** Removes what waits for callers that will not come back any more. */
export async function sweepAwaited({ store, clock }: Context): Promise<void> {
  for await (const page of awaitedJobs(store).pages()) {
    const old = page.filter(({ value }) => value.at < clock.wall() - keptMs);
    await awaitedJobs(store).remove(...old.map(({ id }) => id));
  }
}

/** The same for the same request of the same key. */
function prefixOf(job: Job): string {
  const { tenant, keyId, environment, priority, model, fallbackModels, regions, onUnknown, metadata } = job;
  const { ephemeral, webhookUrl, request } = job;
  const head = [tenant, keyId, environment, priority, model, fallbackModels, regions, onUnknown, metadata];
  return `${digestOf("repeated request", [...head, ephemeral, webhookUrl, request])}/`;
}
