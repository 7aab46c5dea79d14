// An upload that may be sent again: under the same Idempotency-Key the same bytes are the same file. What is in a file is
// known only once it has come, so the key is bound to the file's id first, and the bytes are compared with those that stand.
import { createHash, type Hash } from "node:crypto";
import { SluiceError } from "../../domain/errors.ts";
import type { Caller } from "../caller.ts";
import type { ArrivingFile } from "../file-space.ts";
import { type Once, withIdempotency } from "../submit/idempotency.ts";
import { type FilesContext, newFileId, type StoredFile, writeFile } from "./files.ts";

export interface Upload {
  environment: string;
  caller: Caller;
  /** Absent: every upload is a new file. Its digest says nothing about the bytes. */
  once: Once | undefined;
  bytes: AsyncIterable<Uint8Array>;
  /** Called when the bytes are durable; if it throws, there is no file. */
  describe: () => Promise<Pick<StoredFile, "filename" | "purpose"> & { expiresInMs?: number | undefined }>;
}

/**
 * Writes a file of the caller's tenant; durable when it resolves.
 * @throws SluiceError `idempotency_conflict` if the key was used for something else; `limit_exceeded`; what the store, the stream or
 *   `describe` throws, and then the upload may be repeated
 */
export function uploadFile(context: FilesContext, upload: Upload): Promise<StoredFile> {
  const { environment, caller, once, bytes, describe } = upload;
  return withIdempotency<void, StoredFile>(context, caller, once, {
    newId: newFileId,
    // What was sent is read in any case, to be compared.
    find: async () => undefined,
    prepare: async () => {},
    async commit(id) {
      const { tenant } = caller;
      const arriving = await context.fileSpace?.begin(tenant);
      try {
        return await write(id, tenant, arriving);
      } finally {
        arriving?.end();
      }
    },
  });

  async function write(id: string, tenant: string, arriving: ArrivingFile | undefined): Promise<StoredFile> {
    const place = { id, environment };
    const sentBytes = arriving ? counted(bytes, arriving) : bytes;
    if (!once) return writeFile(context, place, sentBytes, async () => ({ tenant, ...(await describe()) }), arriving);
    const hash = createHash("sha256");
    const describeAll = async () => ({ tenant, ...(await describe()), sha256: hash.digest("hex") });
    let sent: Awaited<ReturnType<typeof describeAll>> | undefined;
    const describeOnce = async () => {
      sent = await describeAll();
      return sent;
    };
    const file = await writeFile(context, place, hashed(sentBytes, hash), describeOnce, arriving);
    if (file.sha256 === sent?.sha256 && file.filename === sent?.filename && file.purpose === sent?.purpose) return file;
    const message = "The Idempotency-Key was used before for another file.";
    throw new SluiceError("idempotency_conflict", message, { field: "Idempotency-Key" });
  }
}

async function* counted(bytes: AsyncIterable<Uint8Array>, arriving: ArrivingFile): AsyncIterable<Uint8Array> {
  for await (const piece of bytes) {
    await arriving.take(piece.length);
    yield piece;
  }
}

async function* hashed(bytes: AsyncIterable<Uint8Array>, hash: Hash): AsyncIterable<Uint8Array> {
  for await (const piece of bytes) {
    hash.update(piece);
    yield piece;
  }
}
