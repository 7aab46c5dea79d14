// sluice import-queue: takes over the jobs that wait in the queue of the Python service before Sluice.
import { Command } from "commander";
import { checkRedisUrl } from "../config/addresses.ts";
import { readVariable } from "../config/environment.ts";
import { SluiceError } from "../domain/errors.ts";
import { CommandError } from "./exit-codes.ts";

interface ImportArguments {
  redis: string;
  environment: string;
  list: string;
  dryRun?: boolean;
  config?: string;
  dataDir?: string;
}

/** A line of progress after so many ids. */
const progressEvery = 1000;

export function importQueueCommand(): Command {
  return new Command("import-queue")
    .description("Take over the jobs that wait in the Redis list of the Python service before Sluice, under their ids.")
    .requiredOption("--redis <url>", "the old service's Redis, such as redis://127.0.0.1:6379")
    .requiredOption("--environment <name>", "environment of the jobs, such as UAT or PROD: the old queue does not say")
    .option("--list <key>", "the list of ids", "prompt_queue")
    .option("--dry-run", "only say what would be done")
    .option("--config <file>", "configuration file (SLUICE_CONFIG; default: sluice.yaml, if it is there)")
    .option("--data-dir <folder>", "folder with the SQLite files (SLUICE_DATA_DIR; default: data)")
    .addHelpText(
      "after",
      `
Stop the old service first: it takes jobs out of the list that this command is reading. A Sluice that keeps its data in a
folder must be stopped as well, and takes up the jobs when it starts.

An id leaves the list once its job is stored, so the command can be interrupted and repeated. What cannot be imported
is named, and stays in the list; then the command exits with 1.

Example:
  sluice import-queue --redis redis://127.0.0.1:6379 --environment PROD --dry-run`,
    )
    .action(importQueue);
}

async function importQueue(args: ImportArguments): Promise<void> {
  checkRedisUrl("--redis", args.redis);
  // Loaded only here, because it takes time that no other command should wait for.
  const [{ loadSettings }, { importFromRedis }] = await Promise.all([
    import("../config/load.ts"),
    import("../service/import-from-redis.ts"),
  ]);
  const { config, dataDir } = args;
  // Its log goes to standard output, where the report is.
  const env = { ...process.env, SLUICE_LOG_LEVEL: readVariable(process.env, "SLUICE_LOG_LEVEL") ?? "silent" };
  const settings = await loadSettings({ env, cwd: process.cwd(), args: { config, dataDir }, role: "none" });
  const dryRun = args.dryRun ?? false;
  let seen = 0;
  const { found, imported, existing, left, remaining } = await importFromRedis(settings, {
    redisUrl: args.redis,
    list: args.list,
    environment: args.environment,
    dryRun,
    onLeft: (id, why) => console.log(`${JSON.stringify(id)} ${why}; it stays in the list`),
    onProgress: (counts) => {
      const now = counts.imported + counts.existing + counts.left;
      if (Math.floor(now / progressEvery) > Math.floor(seen / progressEvery)) console.log(`${now} of ${counts.found}`);
      seen = now;
    },
  }).catch((error: unknown) => {
    throw explain(error);
  });
  console.log(
    `${dryRun ? "Would import" : "Imported"} ${imported} of ${found} from ${args.list} into ${args.environment}; ` +
      `${existing} were there already, ${left} cannot be imported. The list has ${remaining} now.`,
  );
  const stay = dryRun ? left : remaining;
  if (stay > 0) {
    const others = stay > left ? `; ${stay - left} came meanwhile: stop what writes to it, and repeat the command` : "";
    throw new CommandError(
      `${stay} ${dryRun ? "would stay" : "stay"} in ${args.list}: ${left} are named above with the reason${others}.`,
    );
  }
}

function explain(error: unknown): unknown {
  if (error instanceof SluiceError) {
    return new CommandError(`${error.code}: ${error.message} Nothing is lost: put it right and repeat the command.`);
  }
  const { name, message } = error as Error;
  // The store says itself what is wrong with the data folder and what to do.
  if (name === "StoreOpenError") return new CommandError(message);
  if (name === "RedisListError") return new CommandError(`${message}. Nothing is lost: repeat the command.`);
  return error;
}
