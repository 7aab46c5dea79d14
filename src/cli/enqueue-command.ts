// sluice enqueue: puts one prompt into the queue of a running service.
import { text } from "node:stream/consumers";
import { Command, Option } from "commander";
import { type Priority, priorities } from "../domain/job.ts";
import { printEnd, waitForJob } from "./job-view.ts";
import { decimal, wholeNumber } from "./numbers.ts";
import { note, printFields, printJson } from "./output.ts";
import { askService, type ServiceOptions, withServiceOptions } from "./service-client.ts";

interface EnqueueOptions extends ServiceOptions {
  environment: string;
  model?: string;
  maxTokens?: number;
  temperature?: number;
  system?: string;
  priority?: Priority;
  expiresIn?: number;
  wait?: boolean;
  dryRun?: boolean;
}

export function enqueueCommand(): Command {
  const command = new Command("enqueue")
    .description("Put a prompt into the queue. Prints the job's id; with --wait, the answer.")
    .argument("<prompt>", "the prompt, or - to read it from standard input")
    .requiredOption("--environment <name>", "environment of the job, such as UAT or PROD")
    .option("--model <alias>", "model (default: the service's default)")
    .option("--max-tokens <n>", "upper bound of the answer, in tokens", wholeNumber(1, 1_000_000_000))
    .option("--temperature <t>", "0 for the most likely words, 1 for variety; some models take up to 2", decimal(0, 2))
    .option("--system <text>", "instructions before the prompt")
    .addOption(new Option("--priority <name>", "place among other jobs (default: standard)").choices(priorities))
    .option(
      "--expires-in <seconds>",
      "the job expires if it has not completed by then",
      wholeNumber(1, 365 * 24 * 3600),
    )
    .option("--wait", "wait for the answer and print it")
    .addOption(new Option("--dry-run", "only tell tokens, cost and expected start").conflicts("wait"));
  return withServiceOptions(command)
    .addHelpText(
      "after",
      `
Examples:
  sluice enqueue "Why is the sky blue?" --environment UAT
  sluice enqueue - --environment PROD --wait < prompt.txt
  sluice enqueue - --environment PROD --dry-run < prompt.txt`,
    )
    .action(enqueue);
}

async function enqueue(prompt: string, options: EnqueueOptions): Promise<void> {
  const request = {
    prompt: prompt === "-" ? await text(process.stdin) : prompt,
    environment: options.environment,
    model: options.model,
    system: options.system,
    max_tokens: options.maxTokens,
    temperature: options.temperature,
    priority: options.priority,
    expires_in: options.expiresIn,
  };
  await askService(options.url, async (service, patient) => {
    if (options.dryRun) {
      printFields(await service.dryRun(request), options);
      return;
    }
    const accepted = await service.enqueue(request);
    if (options.wait) {
      // On standard error, so that the output is the answer alone. If you stop waiting, the id still finds the job.
      note(`Job ${accepted.job_id} is accepted; waiting for its answer.`);
      printEnd(await waitForJob(patient, await patient.get(accepted.job_id)), options);
    } else if (options.json) printJson(accepted);
    else process.stdout.write(`${accepted.job_id}\n`);
  });
}
