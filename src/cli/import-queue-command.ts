// sluice import-queue: imports the jobs that wait in the queue of the Python service that Sluice replaces.
import { Command } from "commander";
import { checkRedisUrl } from "../config/addresses.ts";
import { readVariable } from "../config/environment.ts";
import { SluiceError } from "../domain/errors.ts";
import { CommandError } from "./exit-codes.ts";
import { note, printJson } from "./output.ts";

interface ImportArguments {
  redis: string;
  environment: string;
  list: string;
  dryRun?: boolean;
  json?: boolean;
  config?: string;
  dataDir?: string;
}

/** Ids between two lines of progress. */
const progressEvery = 1000;

export function importQueueCommand(): Command {
  return new Command("import-queue")
    .description(
      "Import the jobs that wait in the Redis list of the Python service that Sluice replaces. They keep their ids.",
    )
    .requiredOption("--redis <url>", "the old service's Redis, such as redis://127.0.0.1:6379")
    .requiredOption("--environment <name>", "environment of the jobs, such as UAT or PROD; the old queue does not tell")
    .option("--list <key>", "the list of ids", "prompt_queue")
    .option("--dry-run", "only tell what would be imported")
    .option("--config <file>", "configuration file (SLUICE_CONFIG; default: sluice.yaml, if it is there)")
    .option("--data-dir <folder>", "folder with the SQLite files (SLUICE_DATA_DIR; default: data)")
    .option("--json", "print the counts as JSON")
    .addHelpText(
      "after",
      `
Stop the old service first, because it removes jobs from the list that this
command reads. If Sluice keeps its data in a folder, stop it as well; it
enqueues the jobs when it starts.

An id leaves the list once its job is stored, so you can interrupt and repeat
the command. An id that cannot be imported stays in the list; the command names
it and exits with 1.

Examples:
  sluice import-queue --redis redis://127.0.0.1:6379 \\
    --environment PROD --dry-run
  sluice import-queue --redis redis://127.0.0.1:6379 --environment PROD`,
    )
    .action(importQueue);
}

async function importQueue(args: ImportArguments): Promise<void> {
  checkRedisUrl("--redis", args.redis);
  // Loaded only here, because no other command should wait for it.
  const [{ loadSettings }, { importFromRedis }] = await Promise.all([
    import("../config/load.ts"),
    import("../service/import-from-redis.ts"),
  ]);
  const { config, dataDir } = args;
  // The log goes to standard output, as the report does.
  const env = { ...process.env, SLUICE_LOG_LEVEL: readVariable(process.env, "SLUICE_LOG_LEVEL") ?? "silent" };
  const settings = await loadSettings({ env, cwd: process.cwd(), args: { config, dataDir }, role: "none" });
  const dryRun = args.dryRun ?? false;
  // With --json, standard output has the counts alone.
  const print = args.json ? note : (text: string) => void process.stdout.write(`${text}\n`);
  let seen = 0;
  const { found, imported, existing, left, remaining } = await importFromRedis(settings, {
    redisUrl: args.redis,
    list: args.list,
    environment: args.environment,
    dryRun,
    onLeft: (id, why) => print(`${JSON.stringify(id)} ${why}; it stays in the list`),
    onProgress: (counts) => {
      const now = counts.imported + counts.existing + counts.left;
      if (Math.floor(now / progressEvery) > Math.floor(seen / progressEvery)) print(`${now} of ${counts.found}`);
      seen = now;
    },
  }).catch((error: unknown) => {
    throw explain(error);
  });
  if (args.json) printJson({ dry_run: dryRun, found, imported, existing, left, remaining });
  else
    print(
      `${dryRun ? "Would import" : "Imported"} ${imported} of ${found} from ${args.list} into ${args.environment}; ` +
        `${existing} already existed, ${left} cannot be imported. The list has ${remaining} now.`,
    );
  const stay = dryRun ? left : remaining;
  if (stay > 0) {
    const others =
      stay > left
        ? `; ${stay - left} arrived meanwhile: stop the program that writes to the list, and repeat the command`
        : "";
    throw new CommandError(
      `${stay} ${dryRun ? "would stay" : "stay"} in ${args.list}: ${left} are named above with the reason${others}.`,
    );
  }
}

function explain(error: unknown): unknown {
  if (error instanceof SluiceError) {
    return new CommandError(`${error.code}: ${error.message} Nothing is lost: correct it and repeat the command.`);
  }
  const { name, message } = error as Error;
  // The message says what is wrong with the data folder and what to do.
  if (name === "StoreOpenError") return new CommandError(message);
  if (name === "RedisListError") return new CommandError(`${message}. Nothing is lost: repeat the command.`);
  return error;
}
