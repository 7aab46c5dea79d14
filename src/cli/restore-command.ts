// sluice restore: checks a backup, and replaces the data folder by it.
import { resolve } from "node:path";
import { Command } from "commander";
import {
  checking,
  copying,
  explainBackup,
  type FolderOptions,
  folderSettings,
  sizeOf,
  withFolderOptions,
} from "./backup-view.ts";
import { utc } from "./formats.ts";
import { printJson } from "./output.ts";

interface RestoreOptions extends FolderOptions {
  check?: boolean;
}

export function restoreCommand(): Command {
  const command = new Command("restore")
    .description("Check a backup, then replace the data folder by it. The replaced data is kept.")
    .argument("<folder>", "a folder that sluice backup wrote")
    .option("--check", "only check that the backup is complete, undamaged and not from a newer version");
  return withFolderOptions(command)
    .addHelpText(
      "after",
      `
Stop the service first, and run the command as the user that runs the service.
The data folder needs free space for the backup. The replaced data moves to
before-restore-<time> in the data folder; delete that folder when you do not
need it. If the command is killed, either the old or the new data is whole, and
the next start of the service completes it.

Examples:
  sluice restore --check /backup/2026-12-01
  sluice restore /backup/2026-12-01 --data-dir /var/lib/sluice`,
    )
    .action(restore);
}

async function restore(folder: string, options: RestoreOptions): Promise<void> {
  // A check needs no configuration, so that another machine can make it.
  const settings = options.check ? undefined : await folderSettings(options);
  const { restoreDataFolder, verifyBackup } = await import("../service/backup.ts");
  const path = resolve(folder);
  const manifest = await checking((parts) => verifyBackup(path, parts)).catch(explainBackup);
  const about = { folder: path, sluice: manifest.sluice, created_at: manifest.created_at };
  const of = `the backup ${path} of ${utc(manifest.created_at)}`;
  if (!settings) {
    if (options.json) printJson({ ...about, ok: true });
    else process.stdout.write(`Checked ${of}: ${sizeOf(manifest)}. It is complete and undamaged.\n`);
    return;
  }
  const replaced = await copying((parts) => restoreDataFolder(settings, { folder: path, manifest }, parts)).catch(
    explainBackup,
  );
  if (options.json) printJson({ ...about, data_dir: settings.dataDir, replaced: replaced ?? null });
  else {
    const kept = replaced === undefined ? "" : ` The replaced data is in ${replaced}.`;
    process.stdout.write(`Restored ${of} to ${settings.dataDir}: ${sizeOf(manifest)}.${kept}\n`);
  }
}
