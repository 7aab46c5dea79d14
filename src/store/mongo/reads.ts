// Reading by id, and reading in general: errors of the driver become those of the store. A read that got no answer was
// tried twice by the driver.
import type { Db, Document } from "mongodb";
import { storeError, timeLimit } from "./mongo-errors.ts";
import type { ServerKind } from "./server-kind.ts";

/** Reads documents by their ids, in the way that is cheapest for the server. */
export class ReadById {
  readonly #oneByOne: number;

  constructor({ idsOneByOne }: ServerKind) {
    this.#oneByOne = idsOneByOne;
  }

  /** The documents among these that are there, in any order. */
  async many<T extends Document & { _id: string }>(
    db: Db,
    collection: string,
    ids: readonly string[],
    projection?: Document,
  ): Promise<T[]> {
    if (ids.length === 0) return [];
    const documents = db.collection<{ _id: string }>(collection);
    if (ids.length > this.#oneByOne) {
      // All of them in one answer, and no look at what comes after the last one.
      const options = { limit: ids.length, batchSize: ids.length + 1, ...(projection && { projection }) };
      const filter = { _id: { $in: [...ids] } };
      return find((limited) => documents.find<T>(filter, { ...options, ...limited }).toArray());
    }
    const options = projection ? { projection } : {};
    const found = await Promise.all(
      ids.map((_id) => find((limited) => documents.findOne<T>({ _id }, { ...options, ...limited }))),
    );
    return found.filter((document) => document !== null);
  }
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
