// Blobs in MongoDB: a document for each piece, under an `_id` made of the key and the piece's number. Not GridFS, whose
// commands are not those of commands.ts and whose cursors end while a slow reader pauses
// (docs/decisions/files-in-pieces.md).
import { Binary, type Db } from "mongodb";
import { SluiceError } from "../../domain/errors.ts";
import { type BlobStore, checkBlobKey } from "../blob-store.ts";
import { insertDocuments, removeDocumentsBetween } from "./commands.ts";
import { find } from "./reads.ts";

interface PieceDocument {
  /** `{key}/{number}`, the number with leading zeros so that pieces sort. */
  _id: string;
  bytes: Binary;
  /** Of the last piece only: without it the blob was never written to its end. */
  last?: true;
}

const collection = "blobs";
/** A document may have 16 MB; pieces of one keep memory and round trips low. */
const pieceBytes = 1024 * 1024;

export class MongoBlobs implements BlobStore {
  readonly #databaseOf: (environment: string) => Db;
  readonly #call: <T>(operation: () => Promise<T>) => Promise<T>;

  /** @param call wraps every operation: errors become those of the store, and closing waits */
  constructor(databaseOf: (environment: string) => Db, call: <T>(operation: () => Promise<T>) => Promise<T>) {
    this.#databaseOf = databaseOf;
    this.#call = call;
  }

  async put(environment: string, key: string, bytes: AsyncIterable<Uint8Array>): Promise<number> {
    checkBlobKey(key);
    // Refused before the first byte is read.
    this.#databaseOf(environment);
    let size = 0;
    let n = 0;
    try {
      for await (const { piece, last } of pieces(bytes)) {
        const document: PieceDocument = { _id: pieceKey(key, n++), bytes: new Binary(piece), ...(last && { last }) };
        await this.#call(async () => {
          const [answer] = await insertDocuments(this.#databaseOf(environment), collection, [document]);
          if (answer instanceof Error) throw answer;
        });
        size += piece.length;
      }
      return size;
    } catch (error) {
      // What cannot be removed now is removed by whoever finds the key.
      await this.remove(environment, key).catch(() => {});
      throw error;
    }
  }

  async read(environment: string, key: string): Promise<AsyncIterable<Uint8Array> | undefined> {
    checkBlobKey(key);
    const first = await this.#piece(environment, key, 0);
    return first && this.#rest(environment, key, first);
  }

  async *#rest(environment: string, key: string, first: PieceDocument): AsyncIterable<Uint8Array> {
    let piece: PieceDocument | undefined = first;
    for (let n = 1; piece; n++) {
      // The next one is fetched while this one is used.
      const next: Promise<PieceDocument | undefined> = piece.last
        ? Promise.resolve(undefined)
        : this.#piece(environment, key, n);
      // Whoever stops in between does not wait for it.
      next.catch(() => {});
      if (piece.bytes.length() > 0) yield piece.bytes.buffer;
      if (piece.last) return;
      piece = await next;
    }
    throw new SluiceError("unavailable", "The file is incomplete: one of its parts is missing.");
  }

  async remove(environment: string, key: string): Promise<void> {
    checkBlobKey(key);
    await this.#call(async () => {
      const db = this.#databaseOf(environment);
      await removeDocumentsBetween(db, collection, `${key}/`, `${key}0`);
    });
  }

  #piece(environment: string, key: string, n: number): Promise<PieceDocument | undefined> {
    return this.#call(async () => {
      const documents = this.#databaseOf(environment).collection<PieceDocument>(collection);
      return (await find((limited) => documents.findOne({ _id: pieceKey(key, n) }, limited))) ?? undefined;
    });
  }
}

function pieceKey(key: string, n: number): string {
  return `${key}/${String(n).padStart(6, "0")}`;
}

/** Pieces of one size, the last one as it comes; there is at least one. */
async function* pieces(bytes: AsyncIterable<Uint8Array>): AsyncIterable<{ piece: Uint8Array; last: boolean }> {
  const buffer = Buffer.allocUnsafe(pieceBytes);
  let filled = 0;
  for await (const some of bytes) {
    for (let taken = 0; taken < some.length; ) {
      if (filled === pieceBytes) {
        yield { piece: buffer, last: false };
        filled = 0;
      }
      const part = some.subarray(taken, taken + pieceBytes - filled);
      buffer.set(part, filled);
      filled += part.length;
      taken += part.length;
    }
  }
  yield { piece: buffer.subarray(0, filled), last: true };
}
