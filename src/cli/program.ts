// The commands of `sluice`, and how their errors are shown. main.ts loads it once Node is known to be new enough.
import { inspect } from "node:util";
import { Command, CommanderError } from "commander";
import { ConfigError } from "../config/config-problems.ts";
import { maskSecrets, secretHider } from "../config/secret-hider.ts";
import { version } from "../config/version.ts";
import { cancelCommand, retryCommand } from "./cancel-retry-command.ts";
import { enqueueCommand } from "./enqueue-command.ts";
import { CommandError, exitCodes, exitCodesHelp } from "./exit-codes.ts";
import { importQueueCommand } from "./import-queue-command.ts";
import { keysCommand } from "./keys-command.ts";
import { pauseCommand, resumeCommand } from "./pause-command.ts";
import { quotasCommand } from "./quotas-command.ts";
import { apiCommand, serveCommand, workerCommand } from "./serve-command.ts";
import { simulateCommand } from "./simulate-command.ts";
import { statusCommand } from "./status-command.ts";
import { usageCommand } from "./usage-command.ts";

const program = new Command("sluice")
  .description("A durable, quota-aware queue in front of Amazon Bedrock.")
  .version(version, "-v, --version", "print the version")
  .addCommand(serveCommand())
  .addCommand(apiCommand())
  .addCommand(workerCommand())
  .addCommand(enqueueCommand())
  .addCommand(statusCommand())
  .addCommand(cancelCommand())
  .addCommand(retryCommand())
  .addCommand(pauseCommand())
  .addCommand(resumeCommand())
  .addCommand(usageCommand())
  .addCommand(keysCommand())
  .addCommand(quotasCommand())
  .addCommand(simulateCommand())
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

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    // Help counts as an error here; commander has printed what there is to say.
    process.exitCode = error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  } else {
    const known = error instanceof CommandError || error instanceof ConfigError;
    console.error(secretHider(process.env)(known ? error.message : inspect(error)));
    // At once, whatever a start that failed half-way has left running.
    process.exit(exitCodes.error);
  }
}
