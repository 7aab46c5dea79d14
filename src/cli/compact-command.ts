// sluice compact: rewrites the SQLite files, so that they take only the space they need and can shrink from then on.
import { Command } from "commander";
import { readVariable } from "../config/environment.ts";
import { CommandError } from "./exit-codes.ts";
import { printJson } from "./output.ts";

interface CompactOptions {
  config?: string;
  dataDir?: string;
  json?: boolean;
}

export function compactCommand(): Command {
  return new Command("compact")
    .description("Rewrite the SQLite files of a stopped service, so that they give free space back.")
    .option("--config <file>", "configuration file (SLUICE_CONFIG; default: sluice.yaml, if it exists)")
    .option("--data-dir <folder>", "folder with the SQLite files (SLUICE_DATA_DIR; default: data)")
    .option("--json", "print one JSON object for each file")
    .addHelpText(
      "after",
      `
Stop the service first. Files that an earlier version created need this once;
later ones shrink by themselves while the service runs. The disk needs twice the
size of the largest file. You can interrupt and repeat the command.

Examples:
  sluice compact
  sluice compact --data-dir /var/lib/sluice`,
    )
    .action(compact);
}

async function compact({ config, dataDir, json = false }: CompactOptions): Promise<void> {
  // Loaded only here, because other commands need not wait for it.
  const [{ loadSettings }, { compactStore }] = await Promise.all([
    import("../config/load.ts"),
    import("../service/compact-store.ts"),
  ]);
  const env = { ...process.env, SLUICE_LOG_LEVEL: readVariable(process.env, "SLUICE_LOG_LEVEL") ?? "silent" };
  const settings = await loadSettings({ env, cwd: process.cwd(), args: { config, dataDir }, role: "none" });
  try {
    for await (const { path, before, after } of compactStore(settings)) {
      if (json) printJson({ path, bytes_before: before, bytes_after: after });
      else process.stdout.write(`${path}: ${mebibytes(before)} -> ${mebibytes(after)}\n`);
    }
  } catch (error) {
    if ((error as Error).name === "StoreOpenError") throw new CommandError((error as Error).message);
    throw error;
  }
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
}
