// What other processes must know about the callers of held calls: which process a caller came back to, and which jobs wait
// for a caller that repeats its request without a key. Both are written when a caller disconnects or returns, never for a
// call that is simply answered.

import { newToken } from "../../domain/ids.ts";
import type { Job, JobHead, JobRecord } from "../../domain/job.ts";
import type { RecordPlace } from "../../store/record-store.ts";
import { wasAbandoned } from "../caller.ts";
import type { JobsContext } from "../jobs-context.ts";
import { digestOf } from "../submit/idempotency.ts";
import { idempotencyPlace, orderOf } from "../tombstones.ts";

type Context = Pick<JobsContext, "store" | "clock">;

/** Who waits for a job now. The process of the job's own `waitingCaller` if nothing is on record. */
export interface Holder {
  processId: string;
  /** The caller asked to keep the job: it is called in any case. */
  isKept?: boolean;
}

const controls: RecordPlace = { collection: "controls" };
const readAtOnce = 1000;
/** No caller comes back after this. */
const keptMs = 24 * 3_600_000;

/** Records that a caller came back. The last one to come back counts. Swept with the idempotency keys. */
export async function putHolder({ store, clock }: Context, jobId: string, holder: Holder): Promise<void> {
  await store.records.put(idempotencyPlace, { id: holderId(jobId), order: orderOf(clock.wall()), value: holder });
}

/** Who waits for each of these jobs. */
export async function readHolders({ store }: Context, jobs: readonly JobHead[]): Promise<Map<string, Holder>> {
  const holders = new Map<string, Holder>();
  for (let from = 0; from < jobs.length; from += readAtOnce) {
    const part = jobs.slice(from, from + readAtOnce);
    const records = await store.records.get(
      idempotencyPlace,
      part.map(({ id }) => holderId(id)),
    );
    for (const { id, waitingCaller } of part) {
      const found = records.get(holderId(id))?.value as Holder | undefined;
      if (found) holders.set(id, found);
      else if (waitingCaller) holders.set(id, { processId: waitingCaller.processId });
    }
  }
  return holders;
}

const holderId = (jobId: string) => `caller/${jobId}`;

// ---------------------------------------------------------------- repeated requests

interface Awaited {
  jobId: string;
  /** Milliseconds since the epoch. */
  at: number;
}

/** Records that a job waits for its caller to repeat the request. Repeating this changes nothing. */
export async function awaitRetry({ store, clock }: Context, job: Job): Promise<void> {
  const prefix = prefixOf(job);
  const { items } = await store.records.list(controls, { from: prefix, to: `${prefix}~`, limit: readAtOnce });
  if (items.some(({ value }) => (value as Awaited).jobId === job.id)) return;
  const at = clock.wall();
  const value: Awaited = { jobId: job.id, at };
  await store.records.put(controls, { id: `${prefix}${orderOf(at)}/${newToken()}`, value });
}

/**
 * The job that waits for this request to be repeated, the oldest first; undefined if there is none. Each job is given to
 * one caller only.
 * @param job what was built from the repeated request
 */
export async function takeAwaited({ store, clock }: Context, job: Job): Promise<JobRecord | undefined> {
  const prefix = prefixOf(job);
  const { items } = await store.records.list(controls, { from: prefix, to: `${prefix}~`, limit: readAtOnce });
  for (const { id, value } of items) {
    const taken = { id: `taken/${id}`, order: orderOf(clock.wall()), value: null };
    const [answer] = await store.records.insert(idempotencyPlace, [taken]);
    await store.records.remove(controls, [id]);
    if (answer !== "inserted") continue;
    const record = await store.get((value as Awaited).jobId);
    if (record && !wasAbandoned(record)) return record;
  }
  return undefined;
}

/** Removes what waits for callers that will not come back any more. */
export async function sweepAwaited({ store, clock }: Context): Promise<void> {
  let cursor: string | undefined;
  do {
    const page = await store.records.list(controls, { from: awaited, to: `${awaited}~`, limit: readAtOnce, cursor });
    const old = page.items.filter(({ value }) => (value as Awaited).at < clock.wall() - keptMs);
    await store.records.remove(
      controls,
      old.map(({ id }) => id),
    );
    cursor = page.next;
  } while (cursor !== undefined);
}

const awaited = "awaited/";

/** The same for the same request of the same key. */
function prefixOf(job: Job): string {
  const { tenant, keyId, environment, priority, model, fallbackModels, regions, onUnknown, metadata } = job;
  const { ephemeral, webhookUrl, request } = job;
  const head = [tenant, keyId, environment, priority, model, fallbackModels, regions, onUnknown, metadata];
  return `${awaited}${digestOf("repeated request", [...head, ephemeral, webhookUrl, request])}/`;
}
