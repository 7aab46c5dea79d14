// sluice enqueue: puts one prompt into the queue of a running service.

import { text } from "node:stream/consumers";
import { Command, Option } from "commander";
import { type Priority, priorities } from "../domain/job.ts";
import { jsonLine } from "../domain/json-lines.ts";
import { defaultServiceUrl, enqueueJob, tryJob, waitForJob } from "./client-options.ts";
import { decimal, wholeNumber } from "./numbers.ts";
import { printEnd, printFields } from "./output.ts";

interface EnqueueOptions {
  environment: string;
  model?: string;
  maxTokens?: number;
  temperature?: number;
  system?: string;
  priority?: Priority;
  expiresIn?: number;
  wait?: boolean;
  dryRun?: boolean;
  json?: boolean;
  url: string;
}

export function enqueueCommand(): Command {
  return new Command("enqueue")
    .description("Put a prompt into the queue. Prints the job's id; with --wait, the answer.")
    .argument("<prompt>", "the prompt, or - to read it from standard input")
    .requiredOption("--environment <name>", "environment of the job, such as UAT or PROD")
    .option("--model <alias>", "model (default: the service's default)")
    .option("--max-tokens <n>", "length of the answer at most", wholeNumber(1, 1_000_000_000))
    .option("--temperature <t>", "0 for the most likely words, up to 1 for variety (some models: 2)", decimal(0, 2))
    .option("--system <text>", "system text")
    .addOption(new Option("--priority <name>", "place among other jobs").choices(priorities))
    .option("--expires-in <seconds>", "give up if the job has not completed by then", wholeNumber(1, 365 * 24 * 3600))
    .option("--wait", "wait for the answer and print it")
    .addOption(
      new Option("--dry-run", "only say what it would take and cost, and when it would start").conflicts("wait"),
    )
    .option("--json", "print JSON")
    .option("--url <address>", "address of the service (SLUICE_URL)", defaultServiceUrl())
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
  if (options.dryRun) {
    printFields(await tryJob(options.url, request), options);
    return;
  }
  const accepted = await enqueueJob(options.url, request);
  if (!options.wait) {
    console.log(options.json ? jsonLine(accepted) : accepted.job_id);
    return;
  }
  // On standard error, so that the output is the answer alone; whoever stops waiting can still ask for the job.
  console.error(`Job ${accepted.job_id} is accepted; waiting for its answer.`);
  printEnd(await waitForJob(options.url, accepted.job_id), options);
}
