// sluice jobs: a list of jobs, newest first.
import { Command } from "commander";
import type { JobSummary } from "../client/index.ts";
import { age } from "./formats.ts";
import { type FilterOptions, filterOf, withJobFilter } from "./job-filter.ts";
import { wholeNumber } from "./numbers.ts";
import { note, printJson } from "./output.ts";
import { askService, type ServiceOptions, withServiceOptions } from "./service-client.ts";
import { printTable } from "./table.ts";

interface JobsOptions extends ServiceOptions, FilterOptions {
  limit: number;
}

const defaultLimit = 50;

export function jobsCommand(): Command {
  const command = new Command("jobs")
    .description("List jobs, newest first, all or those that match a filter.")
    .option("--limit <n>", "jobs to list at most", wholeNumber(1, 1_000_000), defaultLimit);
  return withServiceOptions(withJobFilter(command))
    .addHelpText(
      "after",
      `
--json prints one object a line. To list everything into a file, use sluice
export.

Examples:
  sluice jobs
  sluice jobs --environment PROD --status failed --submitted-after 24h
  sluice jobs --error context_exceeded --submitted-after 24h
  sluice jobs --tenant billing --metadata ticket=42 --json`,
    )
    .action(listJobs);
}

const columns = [
  { title: "job" },
  { title: "status" },
  { title: "env", atLeast: 4 },
  { title: "age", align: "right" },
  { title: "tenant", atLeast: 6 },
  { title: "model", atLeast: 8 },
  { title: "error", atLeast: 6, optional: true },
] as const;

async function listJobs({ url, json, limit, ...options }: JobsOptions): Promise<void> {
  await askService(url, async (service) => {
    const jobs: JobSummary[] = [];
    let more = false;
    for await (const job of service.list(filterOf(options))) {
      more = jobs.length === limit;
      if (more) break;
      jobs.push(job);
      if (json) printJson(job);
    }
    if (!json && jobs.length > 0) printTable(columns, jobs.map(rowOf));
    if (jobs.length === 0) note("No job matches.");
    if (more) note("There are more jobs than these; --limit lists more, and sluice export all.");
  });
}

function rowOf({ job_id, status, environment, tenant, model, created_at, error }: JobSummary): string[] {
  return [job_id, status, environment, age(created_at, Date.now()), tenant, model, error?.code ?? ""];
}
