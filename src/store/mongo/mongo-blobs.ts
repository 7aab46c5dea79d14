// Blobs in MongoDB: a document for each piece, under an `_id` of the key and the piece's number. GridFS is not used: it
// does not send the commands of commands.ts, and its cursors end while a slow reader pauses
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
  /** Set on the last piece only. Without it the blob was never written to its end. */
  last?: true;
}

const collection = "blobs";
/** Size of a piece in bytes. A document may have 16 MB; pieces of this size limit both memory and round trips. */
const pieceBytes = 1024 * 1024;

export class MongoBlobs implements BlobStore {
  readonly #databaseOf: (environment: string) => Db;
  readonly #call: <T>(operation: () => Promise<T>) => Promise<T>;

  /** @param call wraps every operation: converts errors to those of the store, and lets closing wait */
  constructor(databaseOf: (environment: string) => Db, call: <T>(operation: () => Promise<T>) => Promise<T>) {
    this.#databaseOf = databaseOf;
    this.#call = call;
  }

  async put(environment: string, key: string, bytes: AsyncIterable<Uint8Array>): Promise<number> {
    checkBlobKey(key);
    // Refuses an unknown environment before the first byte is read.
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
      // If this fails, the caller that recorded the key removes the pieces later.
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
      // The next piece is fetched while this one is used.
      const next: Promise<PieceDocument | undefined> = piece.last
        ? Promise.resolve(undefined)
        : this.#piece(environment, key, n);
      // A caller that stops early does not wait for it.
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

/** Splits bytes into pieces of one size; the last may be shorter. There is at least one. */
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
