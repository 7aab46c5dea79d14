// The commands of `sluice`, and how their errors are shown. main.ts loads it once Node is known to be new enough.
import { inspect } from "node:util";
import { Command, CommanderError } from "commander";
import { ConfigError } from "../config/config-problems.ts";
import { maskSecrets, secretHider } from "../config/secret-hider.ts";
import { version } from "../config/version.ts";
import { auditCommand } from "./audit-command.ts";
import { backupCommand } from "./backup-command.ts";
import { batchCommand } from "./batch-command.ts";
import { cancelCommand, retryCommand } from "./cancel-retry-command.ts";
import { compactCommand } from "./compact-command.ts";
import { doctorCommand } from "./doctor-command.ts";
import { enqueueCommand } from "./enqueue-command.ts";
import { CommandError, exitCodes, exitCodesHelp } from "./exit-codes.ts";
import { exportCommand } from "./export-command.ts";
import { importQueueCommand } from "./import-queue-command.ts";
import { jobCommand } from "./job-command.ts";
import { jobsCommand } from "./jobs-command.ts";
import { keysCommand } from "./keys-command.ts";
import { pauseCommand, resumeCommand } from "./pause-command.ts";
import { quotasCommand } from "./quotas-command.ts";
import { restoreCommand } from "./restore-command.ts";
import { apiCommand, serveCommand, workerCommand } from "./serve-command.ts";
import { simulateCommand } from "./simulate-command.ts";
import { statusCommand } from "./status-command.ts";
import { topCommand } from "./top-command.ts";
import { usageCommand } from "./usage-command.ts";

/** Creates all commands. */
export function createProgram(): Command {
  const program = new Command("sluice")
    .description("A durable, quota-aware queue in front of Amazon Bedrock and servers with OpenAI's API.")
    .version(version, "-v, --version", "print the version")
    // Options behind a command's name are its own, even if the command above it has the same.
    .enablePositionalOptions()
    .commandsGroup("Service:")
    .addCommand(serveCommand())
    .addCommand(apiCommand())
    .addCommand(workerCommand())
    .addCommand(simulateCommand())
    .commandsGroup("Jobs and batches:")
    .addCommand(enqueueCommand())
    .addCommand(jobsCommand())
    .addCommand(jobCommand())
    .addCommand(cancelCommand())
    .addCommand(retryCommand())
    .addCommand(exportCommand())
    .addCommand(batchCommand())
    .commandsGroup("Operation:")
    .addCommand(statusCommand())
    .addCommand(topCommand())
    .addCommand(doctorCommand())
    .addCommand(pauseCommand())
    .addCommand(resumeCommand())
    .addCommand(usageCommand())
    .addCommand(keysCommand())
    .addCommand(auditCommand())
    .addCommand(quotasCommand())
    .addCommand(backupCommand())
    .addCommand(restoreCommand())
    .addCommand(compactCommand())
    .addCommand(importQueueCommand())
    .addHelpText("after", exitCodesHelp);
  const withSubcommands = (command: Command): Command[] => [command, ...command.commands.flatMap(withSubcommands)];
  for (const command of withSubcommands(program)) {
    command.exitOverride().showHelpAfterError("(--help shows how)");
    // What was typed, and the default of --url, may hold the password of an address.
    command.configureOutput({
      writeOut: (text) => void process.stdout.write(maskSecrets(text)),
      writeErr: (text) => void process.stderr.write(maskSecrets(text)),
    });
  }
  return program;
}

/**
 * Runs one command line, prints its errors, and sets `process.exitCode`.
 * @returns whether the command failed with an error
 */
export async function runProgram(args: readonly string[]): Promise<boolean> {
  try {
    await createProgram().parseAsync(args, { from: "user" });
    return false;
  } catch (error) {
    if (error instanceof CommanderError) {
      // Commander reports help as an error too, and has printed what there is to say.
      process.exitCode = error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
      return false;
    }
    const known = error instanceof CommandError || error instanceof ConfigError;
    process.stderr.write(`${secretHider(process.env)(known ? error.message : inspect(error))}\n`);
    process.exitCode = exitCodes.error;
    return true;
  }
}
