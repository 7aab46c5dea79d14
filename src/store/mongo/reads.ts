// Reading by id, and reading in general: errors of the driver become those of the store. A read that got no answer was
// tried twice by the driver.
import type { Db, Document } from "mongodb";
import { storeError } from "./errors.ts";
import { timeLimit } from "./time-limit.ts";

/**
 * As many ids as these are asked for one by one, in parallel. FerretDB uses an index for nothing but one `_id`, and
 * reads the whole collection for two; to MongoDB it is all the same.
 */
const few = 8;

/** The documents among these that are there, in any order. */
export async function readByIds<T extends Document & { _id: string }>(
  db: Db,
  collection: string,
  ids: readonly string[],
): Promise<T[]> {
  const documents = db.collection<{ _id: string }>(collection);
  if (ids.length > few) return find((limited) => documents.find<T>({ _id: { $in: [...ids] } }, limited).toArray());
  const found = await Promise.all(ids.map((_id) => find((limited) => documents.findOne<T>({ _id }, limited))));
  return found.filter((document) => document !== null);
}

/**
 * @param read is given the signal that ends it in time, to be handed on to the driver
 * @throws SluiceError
 */
export async function find<T>(read: (options: { signal: AbortSignal }) => Promise<T>): Promise<T> {
  try {
    return await read({ signal: timeLimit() });
  } catch (error) {
    throw storeError(error);
  }
}
