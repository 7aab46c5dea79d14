// Deletes old files. The age counts from the creation of a file. A file stays while an unfinished batch reads it.
import { includesTenant } from "../../store/upkeep-store.ts";
import { batchUsing } from "../batches/batches.ts";
import { deleteFile, filesOf } from "../files/files.ts";
import type { Lane, RetentionContext } from "./retention-steps.ts";

export async function removeOldFiles(context: RetentionContext, { environment, tenants, ageMs }: Lane): Promise<void> {
  const limit = context.clock.wall() - ageMs;
  for await (const file of filesOf(context, environment)) {
    // Files are in the order of their creation.
    if (file.createdAt >= limit) return;
    if (!includesTenant(tenants, file.tenant)) continue;
    await context.proceed();
    if ((await batchUsing(context, file)) !== undefined) continue;
    await deleteFile(context, file);
    context.removed(environment, "files", 1);
  }
}
