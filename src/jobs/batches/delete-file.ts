// Deletes a file for a caller, unless an unfinished batch reads it.
import { SluiceError } from "../../domain/errors.ts";
import { audited } from "../audit/audited.ts";
import type { Caller } from "../caller.ts";
import { deleteFile, requireFile } from "../files/files.ts";
import type { JobsContext } from "../jobs-context.ts";
import { batchUsing } from "./batches.ts";

/**
 * Deletes a file.
 * @throws SluiceError `file_not_found`, or `conflict` if a batch that has not ended reads it
 */
export async function deleteUnusedFile(context: JobsContext, id: string, caller: Caller): Promise<void> {
  const file = await requireFile(context, id, caller);
  const batchId = await batchUsing(context, file);
  if (batchId !== undefined) {
    throw new SluiceError(
      "conflict",
      `The file cannot be deleted: ${batchId} reads it and has not ended. Wait until it ends, or cancel it.`,
    );
  }
  await audited(context, caller, "file.delete", { target: { type: "file", id } }, () => deleteFile(context, file));
}
