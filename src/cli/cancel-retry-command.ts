// sluice cancel and sluice retry: one job by its id, or all that a filter fits.

import { Command, InvalidArgumentError, Option } from "commander";
import { jobStates, priorities } from "../domain/job.ts";
import { jsonLine } from "../domain/json-lines.ts";
import { callService, defaultServiceUrl } from "./client-options.ts";
import { CommandError } from "./exit-codes.ts";

interface FilterOptions {
  environment?: string;
  status?: string;
  model?: string;
  tenant?: string;
  priority?: string;
  submittedAfter?: string;
  submittedBefore?: string;
  batch?: string;
  metadata?: Record<string, string>;
  dryRun?: boolean;
  json?: boolean;
  url: string;
}

interface Portion {
  matched: number;
  done: number;
  errors: { job_id: string; code: string; message: string }[];
  next_cursor: string | null;
}

const maxErrorsShown = 20;

export function cancelCommand(): Command {
  return withFilter(new Command("cancel"))
    .description("Cancel a job, or all waiting and running ones that a filter fits.")
    .addHelpText(
      "after",
      `
Examples:
  sluice cancel 019ab2c4-5d6e-7f80-9123-456789abcdef
  sluice cancel --environment UAT --model llama3-3-70b --dry-run
  sluice cancel --batch batch_019ab2c45d6e7f80912345678 --status queued`,
    )
    .action((jobId: string | undefined, options: FilterOptions) => act("cancel", jobId, options));
}

export function retryCommand(): Command {
  return withFilter(new Command("retry"))
    .description("Submit an ended job again, or all failed and expired ones that a filter fits.")
    .addHelpText(
      "after",
      `
Each becomes a new job, the same one however often it is asked for.

Examples:
  sluice retry 019ab2c4-5d6e-7f80-9123-456789abcdef
  sluice retry --environment PROD --submitted-after 2030-01-31T12:00:00Z
  sluice retry --status cancelled --tenant billing --dry-run`,
    )
    .action((jobId: string | undefined, options: FilterOptions) => act("retry", jobId, options));
}

function addLabel(text: string, labels: Record<string, string> = {}): Record<string, string> {
  const equals = text.indexOf("=");
  if (equals < 1)
    throw new InvalidArgumentError("Give a key and a value with an equals sign between, such as ticket=42.");
  return { ...labels, [text.slice(0, equals)]: text.slice(equals + 1) };
}

function withFilter(command: Command): Command {
  return command
    .argument("[job-id]", "one job; without it, a filter")
    .option("--environment <name>", "jobs of this environment")
    .addOption(new Option("--status <state>", "jobs in this state").choices(jobStates))
    .option("--model <alias>", "jobs of this model")
    .option("--tenant <name>", "jobs of this tenant")
    .addOption(new Option("--priority <name>", "jobs of this priority").choices(priorities))
    .option("--submitted-after <time>", "submitted then or later, such as 2030-01-31T12:00:00Z")
    .option("--submitted-before <time>", "submitted earlier")
    .option("--batch <id>", "the lines of this batch")
    .option("--metadata <key=value>", "jobs with this label; may be given several times", addLabel)
    .option("--dry-run", "count them only")
    .option("--json", "print JSON")
    .option("--url <address>", "address of the service (SLUICE_URL)", defaultServiceUrl());
}

async function act(what: "cancel" | "retry", jobId: string | undefined, options: FilterOptions): Promise<void> {
  const { dryRun, json, url, submittedAfter, submittedBefore, ...rest } = options;
  const filter = Object.fromEntries(
    Object.entries({ ...rest, submitted_after: submittedAfter, submitted_before: submittedBefore }).filter(
      ([, value]) => value !== undefined,
    ),
  );
  const isFiltered = Object.keys(filter).length > 0;
  if ((jobId !== undefined) === isFiltered) {
    throw new CommandError(`Name either a job or at least one filter; sluice ${what} --help shows them.`);
  }
  if (jobId !== undefined) {
    if (dryRun) throw new CommandError("--dry-run goes with a filter only.");
    const path = `/v1/jobs/${encodeURIComponent(jobId)}/${what}`;
    const job = (await callService(url, "POST", path)) as { job_id: string; status: string };
    console.log(json ? jsonLine(job) : `${job.job_id} is ${job.status}.`);
    return;
  }
  const sum = await allPortions(url, what, { ...filter, ...(dryRun && { dry_run: true }) });
  if (json) console.log(jsonLine({ dry_run: dryRun === true, ...sum }));
  else print(what, sum, dryRun);
  if (sum.done < sum.matched && !dryRun) process.exitCode = 1;
}

async function allPortions(url: string, what: string, body: object): Promise<Omit<Portion, "next_cursor">> {
  const sum: Omit<Portion, "next_cursor"> = { matched: 0, done: 0, errors: [] };
  let cursor: string | null = null;
  do {
    const asked: object = cursor === null ? body : { ...body, cursor };
    const part = (await callService(url, "POST", `/v1/jobs/${what}`, asked)) as Portion;
    sum.matched += part.matched;
    sum.done += part.done;
    sum.errors.push(...part.errors);
    cursor = part.next_cursor;
  } while (cursor !== null);
  return sum;
}

function print(what: "cancel" | "retry", { matched, done, errors }: Omit<Portion, "next_cursor">, dryRun?: boolean) {
  const verb = what === "cancel" ? "cancelled" : "submitted again";
  const jobs = (n: number) => `${n} ${n === 1 ? "job" : "jobs"}`;
  console.log(dryRun ? `${jobs(matched)} would be ${verb}.` : `${jobs(done)} of ${matched} ${verb}.`);
  for (const { job_id, code, message } of errors.slice(0, maxErrorsShown))
    console.error(`${job_id}: ${code}: ${message}`);
  if (errors.length > maxErrorsShown) console.error(`... and ${errors.length - maxErrorsShown} more`);
}
