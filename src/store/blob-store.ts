// The port to data that is too large for a record: the bytes of files. A blob is written once, as a stream, under a key
// of its own, and never changes. A record says which file it belongs to (jobs/files). No blob is ever whole in memory.
// Every adapter runs the conformance suite in test/store/conformance/blobs.ts.

export interface BlobStore {
  /**
   * Writes a blob; durable when it resolves. If the stream fails, this rejects and removes what was written as far as
   * possible. A caller that may die meanwhile records the key first and removes the blob later.
   * @param key new, 1 to 100 letters, digits, hyphens and underscores
   * @returns the number of bytes
   * @throws SluiceError `storage_full`, `unavailable`; or what the stream throws
   */
  put(environment: string, key: string, bytes: AsyncIterable<Uint8Array>): Promise<number>;
  /**
   * Returns the bytes in order, read on demand, or undefined if there is no such blob. The iteration throws if the blob
   * cannot be read to its end.
   */
  read(environment: string, key: string): Promise<AsyncIterable<Uint8Array> | undefined>;
  /** Removes a blob, also one from a `put` that never ended. A blob that does not exist is no error. */
  remove(environment: string, key: string): Promise<void>;
}

/**
 * Checks a key before it is used.
 * @throws RangeError for a key that an adapter could not store unchanged: a programming error of the caller
 */
export function checkBlobKey(key: string): void {
  if (!/^[A-Za-z0-9_-]{1,100}$/.test(key)) throw new RangeError(`"${key}" cannot be the key of a blob.`);
}
