// What sluice backup and sluice restore share: their options, their progress, and how they stop.
import type { Command } from "commander";
import type { Settings } from "../config/settings.ts";
import type { BackupManifest, CopyProgress } from "../service/backup.ts";
import { CommandError, exitCodes } from "./exit-codes.ts";
import { duration, several, short } from "./formats.ts";
import { LiveLine } from "./live-line.ts";
import { note } from "./output.ts";
import { stopOnSignal } from "./stop-signals.ts";

export interface FolderOptions {
  config?: string;
  dataDir?: string;
  json?: boolean;
}

/** Adds --config, --data-dir and --json. */
export function withFolderOptions(command: Command): Command {
  return command
    .option("--config <file>", "configuration file (SLUICE_CONFIG; default: sluice.yaml, if it exists)")
    .option("--data-dir <folder>", "folder with the SQLite files (SLUICE_DATA_DIR; default: data)")
    .option("--json", "print the result as JSON");
}

/**
 * Loads the configuration, which names the data folder and its databases.
 * @throws CommandError if the data is in MongoDB
 */
export async function folderSettings({ config, dataDir }: FolderOptions): Promise<Settings> {
  // Loaded only here, because other commands need not wait for it.
  const [{ loadSettings }, { requireDataFolder }] = await Promise.all([
    import("../config/load.ts"),
    import("../service/backup.ts"),
  ]);
  const args = { ...(config !== undefined && { config }), ...(dataDir !== undefined && { dataDir }) };
  const settings = await loadSettings({ env: process.env, cwd: process.cwd(), args, role: "none" });
  try {
    requireDataFolder(settings);
  } catch (error) {
    explainBackup(error);
  }
  return settings;
}

interface Parts {
  onProgress: (progress: CopyProgress) => void;
  signal: AbortSignal;
}

/** Shows the progress of a check. Ctrl-C ends it at once. */
export async function checking<T>(check: (parts: Pick<Parts, "onProgress">) => Promise<T>): Promise<T> {
  const progress = new ProgressLine();
  try {
    return await check({ onProgress: (at) => progress.show(at) });
  } finally {
    progress.clear();
  }
}

/** Shows the progress of a copy. SIGINT or SIGTERM stops it: what was copied is removed, and the command exits with 130. */
export async function copying<T>(copy: (parts: Parts) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const copied = checking(({ onProgress }) => copy({ onProgress, signal: stop.signal }));
  const ignoreSignals = stopOnSignal(async () => {
    stop.abort();
    await copied.catch(({ message }) => note(message));
  }, exitCodes.interrupted);
  try {
    return await copied;
  } catch (error) {
    // The signal's handler prints the message and ends the process.
    if (stop.signal.aborted) await new Promise<never>(() => {});
    throw error;
  } finally {
    ignoreSignals();
  }
}

/** @throws CommandError, if the message is all that the user needs to see */
export function explainBackup(error: unknown): never {
  const { name, message } = error as Error;
  throw name === "BackupError" ? new CommandError(message) : error;
}

/** Returns a text such as `3 databases and 41 files (1.2 GB)`. */
export function sizeOf({ databases, files }: BackupManifest): string {
  const bytes = [...databases, ...files].reduce((sum, file) => sum + file.bytes, 0);
  return `${several(databases.length, "database")} and ${several(files.length, "file")} (${short(bytes)}B)`;
}

/** Milliseconds between two drawings on a terminal, and between two lines elsewhere. */
const drawEachMs = 100;
const lineEachMs = 10_000;

class ProgressLine {
  readonly #line = new LiveLine(process.stderr);
  readonly #startedAt = performance.now();
  #shownAt = performance.now();

  show(progress: CopyProgress): void {
    const now = performance.now();
    if (now - this.#shownAt < (process.stderr.isTTY ? drawEachMs : lineEachMs)) return;
    this.#shownAt = now;
    const text = progressText(progress, now - this.#startedAt);
    if (process.stderr.isTTY) this.#line.show(text);
    else note(text);
  }

  clear(): void {
    this.#line.clear();
  }
}

/** Returns a text such as `copying  42%  1.2GB of 2.8GB  ETA 12 s`. */
export function progressText({ step, bytes, totalBytes }: CopyProgress, elapsedMs: number): string {
  if (totalBytes === 0) return step;
  const percent = Math.floor((bytes / totalBytes) * 100);
  const left = bytes > 0 ? duration((elapsedMs / bytes) * (totalBytes - bytes)) : "unknown";
  return `${step}  ${percent}%  ${short(bytes)}B of ${short(totalBytes)}B  ETA ${left}`;
}
