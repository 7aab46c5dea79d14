// sluice backup: copies the data folder while the service runs.
import { resolve } from "node:path";
import { Command } from "commander";
import {
  copying,
  explainBackup,
  type FolderOptions,
  folderSettings,
  sizeOf,
  withFolderOptions,
} from "./backup-view.ts";
import { duration, utc } from "./formats.ts";
import { note, printJson } from "./output.ts";

export function backupCommand(): Command {
  const command = new Command("backup")
    .description("Copy all databases and files into a new folder, consistently, while the service runs.")
    .argument("<folder>", "a folder that is empty or does not exist");
  return withFolderOptions(command)
    .addHelpText(
      "after",
      `
Run it on the machine of the service, as the same user. Only that user can read
the copy. The folder is complete when it has a manifest.json, which is written
last. If the command fails, it removes what it copied.

Examples:
  sluice backup /backup/$(date +%F)
  sluice backup /backup/$(date +%F) --data-dir /var/lib/sluice && \\
    sluice restore --check /backup/$(date +%F)`,
    )
    .action(backup);
}

async function backup(folder: string, options: FolderOptions): Promise<void> {
  const startedAt = performance.now();
  const settings = await folderSettings(options);
  const { makeBackup } = await import("../service/backup.ts");
  const path = resolve(folder);
  const { manifest, leftOut } = await copying((parts) => makeBackup(settings, path, parts)).catch(explainBackup);
  for (const name of leftOut) note(`Left out ${name}, which is not a database.`);
  const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
  if (options.json) {
    const { databases, files, ...about } = manifest;
    const bytes = [...databases, ...files].reduce((sum, file) => sum + file.bytes, 0);
    printJson({ folder: path, ...about, databases, files: files.length, bytes, left_out: leftOut, seconds });
    return;
  }
  const took = duration(performance.now() - startedAt);
  process.stdout.write(
    `Backed up ${settings.dataDir} to ${path} as of ${utc(manifest.created_at)}: ${sizeOf(manifest)}, in ${took}.\n`,
  );
}
