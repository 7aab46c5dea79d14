// sluice export: jobs as JSON lines or CSV, page by page.
import { Command, Option } from "commander";
import type { Job, JobSummary, SluiceClient } from "../client/index.ts";
import { csvRow } from "../domain/csv.ts";
import { jsonLine } from "../domain/json-lines.ts";
import { rate, several } from "./formats.ts";
import { type FilterOptions, filterOf, withJobFilter } from "./job-filter.ts";
import { LiveLine } from "./live-line.ts";
import { note } from "./output.ts";
import { writeResult } from "./result-file.ts";
import { askService, type ServiceOptions, withServiceOptions } from "./service-client.ts";

type Format = "jsonl" | "csv";

interface ExportOptions extends ServiceOptions, FilterOptions {
  format?: Format;
  output?: string;
  answers?: boolean;
}

export function exportCommand(): Command {
  const command = new Command("export")
    .description("Write jobs as JSON lines or CSV, newest first, all or those that match a filter.")
    .addOption(
      new Option("--format <name>", "default: csv if the output file ends with .csv, else jsonl").choices([
        "jsonl",
        "csv",
      ]),
    )
    .option("--output <file>", "the file to write, which only you can read (default: standard output)")
    .option("--answers", "also read each job's answer, tokens, cost and attempts; one request a job");
  return withServiceOptions(withJobFilter(command))
    .addHelpText(
      "after",
      `
--json is the same as --format jsonl. In CSV, text that a spreadsheet would run
as a formula begins with an apostrophe.

Examples:
  sluice export --output jobs.jsonl
  sluice export --environment PROD --status failed \\
    --submitted-after 7d --output failed.csv
  sluice export --batch batch_019ab2c45d6e7f80912345678 --answers | jq -r .text`,
    )
    .action(exportJobs);
}

async function exportJobs(options: ExportOptions, command: Command): Promise<void> {
  const { url, json, output, answers } = options;
  if (json && options.format === "csv") command.error("error: --json cannot be used with --format csv");
  const format = options.format ?? (json ? "jsonl" : output?.toLowerCase().endsWith(".csv") ? "csv" : "jsonl");
  const progress = new ExportProgress();
  try {
    await askService(url, (service, patient) =>
      writeResult(output, async (write) => {
        if (format === "csv") await write(csvRow([...columns, ...(answers ? answerColumns : [])]));
        // The first page is read without retries, so that a wrong address fails at once.
        await service.list(filterOf(options)).next();
        for await (const jobs of pagesOf(patient, options)) {
          await write(jobs.map((job) => lineOf(job, format, answers)).join(""));
          progress.add(jobs.length);
        }
      }),
    );
  } finally {
    progress.clear();
  }
  progress.end(output);
}

// ---------------------------------------------------------------- reading

const chunk = 200;
/** Jobs that are read at a time with --answers. */
const readers = 8;

async function* pagesOf(service: SluiceClient, options: ExportOptions): AsyncGenerator<(JobSummary | Job)[]> {
  let jobs: JobSummary[] = [];
  const page = () => (options.answers ? withAnswers(service, jobs) : jobs);
  for await (const job of service.list(filterOf(options))) {
    jobs.push(job);
    if (jobs.length < chunk) continue;
    yield await page();
    jobs = [];
  }
  yield await page();
}

/** Leaves out jobs that were deleted since they were listed. */
async function withAnswers(service: SluiceClient, jobs: readonly JobSummary[]): Promise<Job[]> {
  const read: (Job | undefined)[] = [];
  const numbers = jobs.keys();
  async function readSome(): Promise<void> {
    for (const i of numbers) {
      read[i] = await service.get(jobs[i]!.job_id).catch((error) => {
        if (error.code === "job_not_found") return undefined;
        throw error;
      });
    }
  }
  await Promise.all(Array.from({ length: readers }, readSome));
  return read.filter((job) => job !== undefined);
}

// ---------------------------------------------------------------- lines

const columns = [
  ...["job_id", "status", "environment", "tenant", "model", "priority", "error_code", "error_message"],
  ...["created_at", "finished_at", "not_before", "expires_at", "retry_of", "metadata"],
] as const;
const answerColumns = [
  ...["text", "finish_reason", "input_tokens", "output_tokens", "cost_usd", "cost_usd_estimated"],
  ...["deployment", "answered_by", "synthetic", "attempts"],
] as const;

function lineOf(job: JobSummary | Job, format: Format, answers: boolean | undefined): string {
  if (format === "jsonl") return `${jsonLine(job)}\n`;
  const { error, metadata } = job;
  const cells = [
    ...[job.job_id, job.status, job.environment, job.tenant, job.model, job.priority, error?.code, error?.message],
    ...[job.created_at, job.finished_at, job.not_before, job.expires_at, job.retry_of],
    metadata && jsonLine(metadata),
  ];
  if (!answers) return csvRow(cells);
  const full = job as Job;
  return csvRow([
    ...cells,
    ...[full.text, full.finish_reason, full.usage?.input_tokens, full.usage?.output_tokens],
    ...[
      full.cost_usd,
      full.cost_usd_estimated,
      full.deployment,
      full.answered_by,
      full.synthetic,
      full.attempts.length,
    ],
  ]);
}

// ---------------------------------------------------------------- progress

/** Jobs between two lines where standard error is not a terminal. */
const noticeEach = 10_000;

class ExportProgress {
  readonly #line = new LiveLine(process.stderr);
  readonly #startedAt = performance.now();
  #jobs = 0;

  add(jobs: number): void {
    const before = this.#jobs;
    this.#jobs += jobs;
    const text = `${several(this.#jobs, "job")} exported, ${rate((this.#jobs * 1000) / (performance.now() - this.#startedAt))}`;
    // On one terminal, the line would end up between the jobs.
    if (process.stderr.isTTY && !process.stdout.isTTY) this.#line.show(text);
    else if (Math.floor(before / noticeEach) < Math.floor(this.#jobs / noticeEach)) note(text);
  }

  clear(): void {
    this.#line.clear();
  }

  end(output: string | undefined): void {
    note(`Exported ${several(this.#jobs, "job")}${output === undefined || output === "-" ? "" : ` to ${output}`}.`);
  }
}
