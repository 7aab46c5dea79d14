// The port to what is too large for a record: the bytes of files. A blob is written once, as a stream, under a key of
// its own, and never changes; which file it belongs to stands in a record (jobs/files). Never whole in memory.
// Held to its word by test/store/conformance/blobs.ts, which every adapter runs.

export interface BlobStore {
  /**
   * Writes a blob; durable when it resolves. If the stream fails, so does this, and what was written is removed as far
   * as that is possible: a caller that may die on the way has the key on record first, and removes the blob later.
   * @param key new, 1 to 100 letters, digits, hyphens and underscores
   * @returns the number of bytes
   * @throws SluiceError `storage_full`, `unavailable`; or what the stream throws
   */
  put(environment: string, key: string, bytes: AsyncIterable<Uint8Array>): Promise<number>;
  /**
   * The bytes in their order, read as they are asked for; undefined if there is no such blob. The iteration throws if
   * the blob cannot be read to its end.
   */
  read(environment: string, key: string): Promise<AsyncIterable<Uint8Array> | undefined>;
  /** Also what a `put` that never ended has left. One that is not there is no error. */
  remove(environment: string, key: string): Promise<void>;
}

/** @throws RangeError for a key that an adapter could not keep as it is: a mistake of the caller */
export function checkBlobKey(key: string): void {
  if (!/^[A-Za-z0-9_-]{1,100}$/.test(key)) throw new RangeError(`"${key}" cannot be the key of a blob.`);
}
