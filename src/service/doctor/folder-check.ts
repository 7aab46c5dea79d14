// The checks of the data folder and the configuration file: disk space and permissions.
import { accessSync, constants, readdirSync, type Stats, statSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Settings } from "../../config/settings.ts";
import { archiveProblem } from "../../worker/retention/archive-check.ts";
import { type Finding, fix, note, ok, skip } from "./findings.ts";

const forOthers = 0o077;
const writableByOthers = 0o022;

export async function checkFolders(settings: Settings): Promise<Finding[]> {
  return [
    ...configurationFile(settings),
    ...archive(settings),
    ...(settings.distributed ? [] : [...permissions(settings.dataDir), await disk(settings)]),
  ];
}

function archive(settings: Settings): Finding[] {
  const { archive: path } = settings.retention;
  if (path === undefined) return [];
  const problem = archiveProblem(settings);
  return [problem === undefined ? ok("archive", `${path} can be written.`) : fix("archive", problem)];
}

function configurationFile({ source }: Settings): Finding[] {
  const found = source === "defaults" ? undefined : statSync(source, { throwIfNoEntry: false });
  if (!found || process.platform === "win32") return [];
  return (found.mode & writableByOthers) === 0
    ? [ok("configuration file", `Only its owner can change ${source}.`)]
    : [
        fix(
          "configuration file",
          `Other users can change ${source}, which decides where prompts go. Run: chmod go-w '${source}'`,
        ),
      ];
}

function permissions(dataDir: string): Finding[] {
  const folder = statSync(dataDir, { throwIfNoEntry: false });
  if (!folder) return [ok("data folder", `${dataDir} does not exist yet; sluice serve creates it.`)];
  if (!folder.isDirectory()) {
    return [fix("data folder", `${dataDir} is not a folder. Name another one with --data-dir or SLUICE_DATA_DIR.`)];
  }
  const access = isWritable(dataDir)
    ? ok("data folder", `${dataDir} is writable.`)
    : fix("data folder", `${dataDir} is not writable by this user. Run Sluice as its owner, or change it with chown.`);
  return process.platform === "win32" ? [access] : [access, privacy(dataDir, folder)];
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function privacy(dataDir: string, { mode }: Stats): Finding {
  const open = isWritable(dataDir)
    ? readdirSync(dataDir).filter((name) => {
        const found = statSync(join(dataDir, name), { throwIfNoEntry: false });
        return found !== undefined && (found.mode & forOthers) !== 0;
      })
    : [];
  const octal = (mode & 0o777).toString(8);
  if (open.length > 0) {
    const names = open.slice(0, 3).join(", ");
    return fix(
      "file permissions",
      `Other users can read prompts and answers: ${names}${open.length > 3 ? ` and ${open.length - 3} more` : ""} in ${dataDir}. Run: chmod -R go= '${dataDir}'`,
    );
  }
  return (mode & forOthers) === 0
    ? ok("file permissions", `Only its owner can open ${dataDir}.`)
    : fix(
        "file permissions",
        `Other users can open ${dataDir} (mode ${octal}), which holds prompts and answers. Run: chmod 700 '${dataDir}'`,
      );
}

async function disk({ dataDir, limits }: Settings): Promise<Finding> {
  // The folder, or where it will be created.
  const place = statSync(dataDir, { throwIfNoEntry: false }) ? dataDir : dirname(dataDir);
  const found = await statfs(place).catch(() => undefined);
  if (!found) return skip("disk", `The free space of ${place} is not known.`);
  const free = found.bavail * found.bsize;
  const text = `${gibibytes(free)} are free on the disk of ${dataDir}; Sluice accepts jobs while ${gibibytes(limits.minFreeDiskBytes)} are (limits.minFreeDiskBytes).`;
  if (free < limits.minFreeDiskBytes) return fix("disk", `${text} Free space, or move the folder to a larger disk.`);
  return free < 2 * limits.minFreeDiskBytes ? note("disk", `${text} Free space soon.`) : ok("disk", text);
}

function gibibytes(bytes: number): string {
  return bytes >= 1024 ** 3 ? `${(bytes / 1024 ** 3).toFixed(1)} GiB` : `${Math.round(bytes / 1024 ** 2)} MiB`;
}
