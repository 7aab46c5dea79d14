// Reading by id, and reading in general: errors of the driver become those of the store. A read that got no answer was
// tried twice by the driver.
import type { Db, Document } from "mongodb";
import { storeError } from "./errors.ts";

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
  return find(async () => {
    if (ids.length > few) return documents.find<T>({ _id: { $in: [...ids] } }).toArray();
    const found = await Promise.all(ids.map((_id) => documents.findOne<T>({ _id })));
    return found.filter((document) => document !== null);
  });
}

/** @throws SluiceError */
export async function find<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw storeError(error);
  }
}
