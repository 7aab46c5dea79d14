// Uploads files repeatably: under one Idempotency-Key the same bytes give the same file. The content is known only
// after it has arrived. So the key is first bound to the file's id, and then the bytes are compared with the stored
// ones.
import { createHash, type Hash } from "node:crypto";
import { SluiceError } from "../../domain/errors.ts";
import type { Caller } from "../caller.ts";
import type { ArrivingFile } from "../file-space.ts";
import { bindOnce, type Once } from "../submit/idempotency.ts";
import { type FilesContext, newFileId, type StoredFile, writeFile } from "./files.ts";

export interface Upload {
  environment: string;
  caller: Caller;
  /** Absent: every upload is a new file. Its digest does not cover the bytes. */
  once: Once | undefined;
  bytes: AsyncIterable<Uint8Array>;
  /** Called when the bytes are durable. If it throws, there is no file. */
  describe: () => Promise<Pick<StoredFile, "filename" | "purpose"> & { expiresInMs?: number | undefined }>;
}

/**
 * Writes a file of the caller's tenant, which is durable when it resolves.
 * @throws SluiceError `idempotency_conflict` if the key was used for something else; `limit_exceeded`; what the store,
 *   the stream or `describe` throws, and then the upload may be repeated
 */
export async function uploadFile(context: FilesContext, upload: Upload): Promise<StoredFile> {
  const { caller, once } = upload;
  // A file with the id is not returned at once, because the upload is read and compared with it.
  const { id } = await bindOnce(context, caller, once, newFileId, async () => undefined);
  const arriving = await context.fileSpace?.begin(caller.tenant);
  try {
    return await write(context, upload, id, arriving);
  } finally {
    arriving?.end();
  }
}

async function write(
  context: FilesContext,
  { environment, caller: { tenant }, once, bytes, describe }: Upload,
  id: string,
  arriving: ArrivingFile | undefined,
): Promise<StoredFile> {
  const place = { id, environment };
  const sentBytes = arriving ? counted(bytes, arriving) : bytes;
  if (!once) return writeFile(context, place, sentBytes, async () => ({ tenant, ...(await describe()) }), arriving);
  const hash = createHash("sha256");
  let sent: (Awaited<ReturnType<Upload["describe"]>> & { tenant: string; sha256: string }) | undefined;
  const describeOnce = async () => {
    sent = { tenant, ...(await describe()), sha256: hash.digest("hex") };
    return sent;
  };
  const file = await writeFile(context, place, hashed(sentBytes, hash), describeOnce, arriving);
  if (file.sha256 === sent?.sha256 && file.filename === sent?.filename && file.purpose === sent?.purpose) return file;
  const message = "The Idempotency-Key was already used for another file.";
  throw new SluiceError("idempotency_conflict", message, { field: "Idempotency-Key" });
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
