// sluice status: where a job stands, or its answer.
import { Command } from "commander";
import { defaultServiceUrl, readStatus, waitForJob } from "./client-options.ts";
import { printEnd, printStatus } from "./output.ts";

export function statusCommand(): Command {
  return new Command("status")
    .description("Show where a job stands, and its answer when it has one.")
    .argument("<job-id>", "what enqueue printed")
    .option("--wait", "wait for the job to end, then print its answer alone")
    .option("--json", "print JSON")
    .option("--url <address>", "address of the service (SLUICE_URL)", defaultServiceUrl())
    .addHelpText(
      "after",
      `
Examples:
  sluice status 019ab2c4-5d6e-7f80-9123-456789abcdef
  sluice status 019ab2c4-5d6e-7f80-9123-456789abcdef --wait --json`,
    )
    .action(status);
}

async function status(jobId: string, options: { wait?: boolean; json?: boolean; url: string }): Promise<void> {
  if (options.wait) printEnd(await waitForJob(options.url, jobId), options);
  else printStatus(await readStatus(options.url, jobId), options);
}
