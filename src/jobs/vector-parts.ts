// Stores the vectors of a job that needs several calls, call by call, until its outcome has all of them. The first
// insert of each part wins, so a text whose vector is stored is never embedded again. A sweep removes what the death of
// a process, or the end of a job between two calls, left over.

import type { Usage } from "../domain/job.ts";
import { environmentCollection, numberKey } from "../store/collection.ts";
import type { JobsContext } from "./jobs-context.ts";

type Context = Pick<JobsContext, "store">;

/** The job that parts belong to. */
interface Owner {
  environment: string;
  id: string;
}

/** The answer of one call. */
export interface VectorPart {
  /** Vectors of its texts, as in an outcome. */
  vectors: string[];
  /** What the call used. Stored with them, because the process may die before it records the attempt's end. */
  usage?: Usage;
}

/** By job and index of the first text. */
const partsIn = environmentCollection<VectorPart>({ stored: "vectors", id: "part/*", order: "part/" });
/** The jobs that have parts. */
const ownersIn = environmentCollection<object>({ stored: "vectors", id: "job/*", order: "job/" });

/** Parts in one read. A part of 96 vectors has about 2 MB. */
const readAtOnce = 16;

/**
 * Stores the answer of a call, unless those from this text on are stored already.
 * @param from index of the first text
 * @returns the number of texts up to the last stored vector
 */
export async function storePart({ store }: Context, job: Owner, from: number, value: VectorPart): Promise<number> {
  await ownersIn(store, job.environment).insert({ id: job.id, value: {} });
  const part = await partsIn(store, job.environment).insertOrGet({ id: partId(job, from), value });
  return from + part.vectors.length;
}

/**
 * Returns the number of texts whose vectors are stored.
 * @param known a number that an attempt recorded. A process may have died after it stored more
 */
export async function countStored({ store }: Context, job: Owner, known: number): Promise<number> {
  const parts = partsIn(store, job.environment);
  for (let from = known; ; ) {
    const part = await parts.get(partId(job, from));
    if (!part) return from;
    from += part.vectors.length;
  }
}

/** Returns the stored vectors in the order of their texts, and what their calls used. */
export async function joinedParts({ store }: Context, job: Owner): Promise<Required<VectorPart>> {
  const vectors: string[] = [];
  const usage = { input: 0, output: 0 };
  for await (const { id, value } of partsIn(store, job.environment).all({ prefix: `${job.id}/` }, readAtOnce)) {
    // Two workers that held the job at once may have stored parts of different sizes. One row of parts is enough.
    if (id !== partId(job, vectors.length)) continue;
    vectors.push(...value.vectors);
    usage.input += value.usage?.input ?? 0;
    usage.output += value.usage?.output ?? 0;
  }
  return { vectors, usage };
}

/** Removes what is stored of a job that has ended. */
export async function removeVectors({ store }: Context, job: Owner): Promise<void> {
  const parts = partsIn(store, job.environment);
  for await (const page of parts.pages({ prefix: `${job.id}/` }, readAtOnce)) {
    await parts.remove(...page.map(({ id }) => id));
  }
  await ownersIn(store, job.environment).remove(job.id);
}

/** Removes the parts of jobs that have ended. */
export async function sweepVectors({ store }: Context, environments: readonly string[]): Promise<void> {
  for (const environment of environments) {
    for await (const { id } of ownersIn(store, environment).all()) {
      const record = await store.get(id, "none");
      if (!record || record.outcome) await removeVectors({ store }, { environment, id });
    }
  }
}

function partId({ id }: Owner, from: number): string {
  return `${id}/${numberKey(from, 6)}`;
}
