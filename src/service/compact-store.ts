// Rewrites the databases of the embedded form, so that their files can shrink.
import { ConfigError } from "../config/config-problems.ts";
import type { Settings } from "../config/settings.ts";
import { type CompactedFile, compactFolder } from "../store/sqlite/compact-folder.ts";

/**
 * Rewrites the files of the data folder one by one.
 * @throws ConfigError if the store is MongoDB; StoreOpenError if the folder has no database, a service uses it, or the disk
 *   is too full
 */
export function compactStore({ dataDir, environments, distributed }: Settings): AsyncGenerator<CompactedFile> {
  if (distributed) {
    throw new ConfigError(
      "MONGODB_URL is set. MongoDB uses the space of removed documents again by itself; its own command compact shrinks files.",
    );
  }
  return compactFolder(
    dataDir,
    Object.values(environments).map(({ database }) => database),
  );
}
