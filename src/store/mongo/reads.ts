// Reads of the MongoDB store. Errors of the driver become those of the store. The driver itself retries a read once.
import type { Db, Document } from "mongodb";
import { storeError, timeLimit } from "./mongo-errors.ts";

/**
 * Returns the documents among these ids that exist, in any order.
 * @throws SluiceError
 */
export async function findByIds<T extends Document & { _id: string }>(
  db: Db,
  collection: string,
  ids: readonly string[],
  projection?: Document,
): Promise<T[]> {
  if (ids.length === 0) return [];
  const documents = db.collection<{ _id: string }>(collection);
  // All of them in one answer, without a second command that finds nothing more.
  const options = { limit: ids.length, batchSize: ids.length + 1, ...(projection && { projection }) };
  // Every server answers an equality without planning, and most reads are of one document.
  const filter = { _id: ids.length === 1 ? ids[0]! : { $in: [...ids] } };
  return find((limited) => documents.find<T>(filter, { ...options, ...limited }).toArray());
}

/**
 * @param read gets the signal that ends it in time, to pass on to the driver
 * @throws SluiceError
 */
export async function find<T>(read: (options: { signal: AbortSignal }) => Promise<T>): Promise<T> {
  try {
    return await read({ signal: timeLimit() });
  } catch (error) {
    throw storeError(error);
  }
}
