// sluice cancel and sluice retry: one job by its id, or every job that matches a filter.
import { Command } from "commander";
import { CommandError, exitCodes } from "./exit-codes.ts";
import { several } from "./formats.ts";
import { cancelJob, retryJob } from "./job-command.ts";
import { type FilterOptions, filterOf, withJobFilter } from "./job-filter.ts";
import { note, printJson } from "./output.ts";
import { askService, type ServiceOptions, withServiceOptions } from "./service-client.ts";
import { oneLine } from "./terminal.ts";

type Action = "cancel" | "retry";

interface ManyOptions extends ServiceOptions, FilterOptions {
  dryRun?: boolean;
}

interface Portion {
  matched: number;
  done: number;
  errors: { job_id: string; code: string; message: string }[];
  next_cursor: string | null;
}

const maxErrorsShown = 20;

export function cancelCommand(): Command {
  return manyCommand("cancel")
    .description("Cancel a job, or every waiting and running job that matches a filter.")
    .addHelpText(
      "after",
      `
Examples:
  sluice cancel 019ab2c4-5d6e-7f80-9123-456789abcdef
  sluice cancel --environment UAT --model llama3-3-70b --dry-run
  sluice cancel --batch batch_019ab2c45d6e7f80912345678 --status queued`,
    );
}

export function retryCommand(): Command {
  return manyCommand("retry")
    .description("Submit an ended job again, or every failed and expired job that matches a filter.")
    .addHelpText(
      "after",
      `
Each retry is a new job. Retrying a job twice gives the same new job.

Examples:
  sluice retry 019ab2c4-5d6e-7f80-9123-456789abcdef
  sluice retry --environment PROD --submitted-after 2030-01-31T12:00:00Z
  sluice retry --status cancelled --tenant billing --dry-run`,
    );
}

function manyCommand(action: Action): Command {
  const command = new Command(action)
    .argument("[job-id]", "one job; without it, a filter is needed")
    .option("--dry-run", "only count the jobs");
  return withServiceOptions(withJobFilter(command)).action((jobId: string | undefined, options: ManyOptions) =>
    act(action, jobId, options),
  );
}

async function act(action: Action, jobId: string | undefined, options: ManyOptions): Promise<void> {
  const { dryRun, json, url } = options;
  const filter = filterOf(options);
  const isFiltered = Object.keys(filter).length > 0;
  if ((jobId !== undefined) === isFiltered) {
    throw new CommandError(`Name either a job or at least one filter; sluice ${action} --help shows them.`);
  }
  if (jobId !== undefined) {
    if (dryRun) throw new CommandError("--dry-run needs a filter; it cannot be used with one job.");
    await (action === "cancel" ? cancelJob : retryJob)(jobId, options);
    return;
  }
  const sum = await changeAll(url, action, { ...filter, ...(dryRun && { dry_run: true }) });
  if (json) printJson({ dry_run: dryRun === true, ...sum });
  else print(action, sum, dryRun);
  if (sum.done < sum.matched && !dryRun) process.exitCode = exitCodes.error;
}

function changeAll(url: string, action: Action, body: object): Promise<Omit<Portion, "next_cursor">> {
  return askService(url, async (service, patient) => {
    const sum: Omit<Portion, "next_cursor"> = { matched: 0, done: 0, errors: [] };
    let cursor: string | null = null;
    do {
      const request: object = cursor === null ? body : { ...body, cursor };
      const client = cursor === null ? service : patient;
      const part: Portion = await client.request<Portion>("POST", `/v1/jobs/${action}`, request);
      sum.matched += part.matched;
      sum.done += part.done;
      sum.errors.push(...part.errors);
      cursor = part.next_cursor;
    } while (cursor !== null);
    return sum;
  });
}

function print(action: Action, { matched, done, errors }: Omit<Portion, "next_cursor">, dryRun?: boolean): void {
  const verb = action === "cancel" ? "cancelled" : "submitted again";
  const text = dryRun
    ? `${several(matched, "job")} would be ${verb}.`
    : `${several(done, "job")} of ${matched} ${verb}.`;
  process.stdout.write(`${text}\n`);
  for (const { job_id, code, message } of errors.slice(0, maxErrorsShown)) {
    note(`${job_id}: ${code}: ${oneLine(message)}`);
  }
  if (errors.length > maxErrorsShown) note(`... and ${errors.length - maxErrorsShown} more`);
}
