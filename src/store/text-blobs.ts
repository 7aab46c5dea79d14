// Keeps texts that are too large for a row in the blob store. A blob and the row that names it cannot be written at
// once. So a record says before every write and every erasure which blob may be left over, and when it is examined. A
// blob that its job's row does not name then goes.
import { StringDecoder } from "node:string_decoder";
import { SluiceError } from "../domain/errors.ts";
import { groupBy } from "../domain/group-by.ts";
import { type JobId, newJobId } from "../domain/ids.ts";
import { environmentCollection, timeKey } from "./collection.ts";
import type { JobStore } from "./job-store.ts";

/** Where a text belongs. */
interface TextPlace {
  environment: string;
  jobId: JobId;
}

/** A text before it is written. */
export interface NewText extends TextPlace {
  json: string;
}

/** A blob that goes unless the row of its job names it. */
export interface TextBlob extends TextPlace {
  /** Key of the blob. */
  key: string;
}

/** In the order of the time from which they are examined. */
const looseTextsIn = environmentCollection<TextBlob>({ stored: "files", id: "text/*", order: "text/" });

/** Time after which a write or an erasure that has not ended was interrupted, in milliseconds. */
const writtenWithinMs = 12 * 3_600_000;
const erasedWithinMs = 10 * 60_000;

/** Blobs that are written at a time. */
const writesAtOnce = 4;
const sweptAtOnce = 500;
/** Units of UTF-16 in a piece of a text that is written. */
const pieceLength = 512 * 1024;

export interface TextBlobsOptions {
  store: Pick<JobStore, "blobs" | "records">;
  clock: { wall(): number };
  /** Returns the keys that the row of a job names. */
  keysOf: (jobId: JobId) => Promise<readonly string[]>;
}

export class TextBlobs {
  readonly #options: TextBlobsOptions;

  constructor(options: TextBlobsOptions) {
    this.#options = options;
  }

  /**
   * Writes texts, which are durable when it resolves. Call `keep` or `discard` once it is known whether a row names
   * them. If it fails, nothing remains.
   * @returns a blob for each text, in the same order
   * @throws SluiceError `storage_full`, `unavailable`
   */
  async write(texts: readonly NewText[]): Promise<TextBlob[]> {
    const written = texts.map(({ json: _, ...place }): TextBlob => ({ ...place, key: `text-${newJobId()}` }));
    try {
      const order = this.#dueIn(writtenWithinMs);
      await this.#each(written, async (loose, own) => {
        await loose.insertAll(own.map((value) => ({ id: value.key, order, value })));
      });
      for (let at = 0; at < texts.length; at += writesAtOnce) {
        const writes = texts.slice(at, at + writesAtOnce).map(({ environment, json }, i) => {
          return this.#options.store.blobs.put(environment, written[at + i]!.key, encoded(json));
        });
        await allEnded(writes);
      }
      return written;
    } catch (error) {
      await this.discard(written);
      throw notWritten(error);
    }
  }

  /** Keeps texts that a row names. Never fails: a sweep examines again what could not be recorded. */
  async keep(texts: readonly TextBlob[]): Promise<void> {
    await this.#each(texts, (loose, own) => loose.remove(...own.map(({ key }) => key))).catch(() => {});
  }

  /** Removes texts that no row names. Never fails: a sweep removes the rest. */
  async discard(texts: readonly TextBlob[]): Promise<void> {
    await Promise.allSettled(texts.map((text) => this.#removeUnused(text.key, text)));
  }

  /**
   * Returns a text, or undefined if the blob does not exist.
   * @throws SluiceError `unavailable`
   */
  async read(environment: string, key: string): Promise<string | undefined> {
    const pieces = await this.#options.store.blobs.read(environment, key);
    if (!pieces) return undefined;
    const decoder = new StringDecoder();
    let text = "";
    for await (const piece of pieces) text += decoder.write(Buffer.from(piece.buffer, piece.byteOffset, piece.length));
    return text + decoder.end();
  }

  /**
   * Removes the texts of one job together with the row that names them.
   * @param eraseRow changes the row so that it names them no more
   * @throws what the store throws; then the erasure may be repeated, and a sweep removes what the row does not name
   */
  async erase(texts: readonly TextBlob[], eraseRow: () => Promise<void>): Promise<void> {
    const order = this.#dueIn(erasedWithinMs);
    const records = texts.map((value) => ({ id: newJobId(), order, value }));
    const loose = looseTextsIn(this.#options.store, texts[0]!.environment);
    await loose.insertAll(records);
    await eraseRow();
    for (const { environment, key } of texts) await this.#options.store.blobs.remove(environment, key);
    await loose.remove(...records.map(({ id }) => id));
  }

  /**
   * Examines what interrupted writes and erasures may have left.
   * @param all also what is not due yet; only if no other process uses the store
   */
  async sweep(environment: string, all: boolean): Promise<void> {
    const range = all ? {} : { before: this.#dueIn(0) };
    for (let found = sweptAtOnce; found === sweptAtOnce; ) {
      const loose = await looseTextsIn(this.#options.store, environment).list(sweptAtOnce, range);
      for (const { id, value } of loose) await this.#removeUnused(id, value);
      found = loose.length;
    }
  }

  async #removeUnused(recordId: string, { environment, key, jobId }: TextBlob): Promise<void> {
    const { store, keysOf } = this.#options;
    if (!(await keysOf(jobId)).includes(key)) await store.blobs.remove(environment, key);
    await looseTextsIn(store, environment).remove(recordId);
  }

  async #each(
    texts: readonly TextBlob[],
    run: (loose: ReturnType<typeof looseTextsIn>, own: TextBlob[]) => Promise<void>,
  ): Promise<void> {
    for (const [environment, own] of groupBy(texts, (text) => text.environment)) {
      await run(looseTextsIn(this.#options.store, environment), own);
    }
  }

  #dueIn(ms: number): string {
    return timeKey(this.#options.clock.wall() + ms);
  }
}

/** Waits for all writes. Throws the first error once no write runs any more. */
async function allEnded(writes: readonly Promise<unknown>[]): Promise<void> {
  for (const end of await Promise.allSettled(writes)) if (end.status === "rejected") throw end.reason;
}

/** Encodes a text piece by piece: other work can run in between, and no second copy of the whole is in memory. */
async function* encoded(text: string): AsyncIterable<Uint8Array> {
  for (let from = 0; from < text.length; ) {
    const to = from + pieceLength;
    // Both halves of a surrogate pair go into one piece.
    const end = to < text.length && isLowSurrogate(text.charCodeAt(to)) ? to - 1 : to;
    yield Buffer.from(text.slice(from, end));
    from = end;
  }
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
}

/** Before its texts are written, a row certainly is not. */
function notWritten(error: unknown): unknown {
  if (!(error instanceof SluiceError) || error.code !== "fate_unknown") return error;
  return new SluiceError("unavailable", error.message, error.details, { cause: error });
}
