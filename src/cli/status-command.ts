// sluice status: the state of the service, or of one job.
import { Command } from "commander";
import { printEnd, printJob, waitForJob } from "./job-view.ts";
import { askService, type ServiceOptions, withServiceOptions } from "./service-client.ts";
import { showService } from "./service-status.ts";

export function statusCommand(): Command {
  return withServiceOptions(
    new Command("status")
      .description("Show the state of the service: queue, quotas, deployments. With a job's id, show that job.")
      .argument("[job-id]", "the id that enqueue printed; the same as sluice job show")
      .option("--wait", "wait for the job to end, then print its answer alone"),
  )
    .addHelpText(
      "after",
      `
Examples:
  sluice status
  sluice status 019ab2c4-5d6e-7f80-9123-456789abcdef
  sluice status 019ab2c4-5d6e-7f80-9123-456789abcdef --wait --json`,
    )
    .action((jobId: string | undefined, options: StatusOptions, command: Command) => {
      if (jobId !== undefined) return showJob(jobId, options);
      if (options.wait) command.error("error: --wait needs the id of a job");
      return showService(options);
    });
}

interface StatusOptions extends ServiceOptions {
  wait?: boolean;
}

export function showJob(jobId: string, { url, json, wait }: StatusOptions): Promise<void> {
  return askService(url, async (service, patient) => {
    const job = await service.get(jobId);
    if (wait) printEnd(await waitForJob(patient, job), { json });
    else printJob(job, { json });
  });
}
