// sluice job show, cancel and retry: one job by its id.
import { Command } from "commander";
import type { Job, SluiceClient } from "../client/index.ts";
import { printJson } from "./output.ts";
import { askService, type ServiceOptions, withServiceOptions } from "./service-client.ts";
import { showJob } from "./status-command.ts";

export function jobCommand(): Command {
  return new Command("job")
    .description("Show, cancel or retry one job.")
    .addCommand(showCommand())
    .addCommand(
      changeCommand("cancel", "Cancel a job that waits or runs. A running call is aborted.").action(cancelJob),
    )
    .addCommand(
      changeCommand("retry", "Submit a failed, cancelled or expired job again, as a new job.").action(retryJob),
    )
    .addHelpText(
      "after",
      `
To cancel or retry every job that matches a filter, use sluice cancel and sluice
retry.

Examples:
  sluice job show ${exampleId}
  sluice job cancel ${exampleId}
  sluice job retry ${exampleId} --json`,
    );
}

const exampleId = "019ab2c4-5d6e-7f80-9123-456789abcdef";

function showCommand(): Command {
  const command = new Command("show")
    .description("Show a job: its state, what it waits for, its attempts and its answer.")
    .argument("<job-id>", "the id that enqueue or jobs printed")
    .option("--wait", "wait for the job to end, then print its answer alone");
  return withServiceOptions(command)
    .addHelpText("after", `\nExamples:\n  sluice job show ${exampleId}\n  sluice job show ${exampleId} --wait`)
    .action(showJob);
}

function changeCommand(name: "cancel" | "retry", description: string): Command {
  const command = new Command(name)
    .description(description)
    .argument("<job-id>", "the id that enqueue or jobs printed");
  return withServiceOptions(command).addHelpText(
    "after",
    `\nExamples:\n  sluice job ${name} ${exampleId}\n  sluice job ${name} ${exampleId} --json`,
  );
}

export function cancelJob(jobId: string, options: ServiceOptions): Promise<void> {
  return change(
    options,
    (service) => service.cancel(jobId),
    ({ job_id, status }) => `${job_id} is ${status}.`,
  );
}

/** The same new job, however often it is asked for. */
export function retryJob(jobId: string, options: ServiceOptions): Promise<void> {
  return change(
    options,
    (service) => service.retry(jobId),
    ({ job_id, status, retry_of }) => `${job_id} is ${status}. It is the retry of ${retry_of}.`,
  );
}

async function change(
  { url, json }: ServiceOptions,
  act: (service: SluiceClient) => Promise<Job>,
  describe: (job: Job) => string,
): Promise<void> {
  const job = await askService(url, act);
  if (json) printJson(job);
  else process.stdout.write(`${describe(job)}\n`);
}
