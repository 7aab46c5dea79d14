// One job on the terminal: waiting for it, its fields, its attempts, its answer.
import type { EndedJob, Job, JobAttempt, SluiceClient } from "../client/index.ts";
import { jsonLine } from "../domain/json-lines.ts";
import { exitCodes } from "./exit-codes.ts";
import { dollars, duration, grouped, utc } from "./formats.ts";
import { note, printAnswer, printJson } from "./output.ts";
import { describeError } from "./service-client.ts";
import { printPairs, printTable } from "./table.ts";
import { WaitLines } from "./wait-lines.ts";

/**
 * Returns the job when it has ended, without a limit of time. Meanwhile shows on standard error why it waits.
 * @param job as it was just read
 */
export async function waitForJob(service: SluiceClient, job: Job): Promise<Job> {
  if (hasEnded(job)) return job;
  const lines = new WaitLines(process.stderr);
  try {
    lines.show(job);
    return await service.wait(job.job_id, { onJob: (read) => lines.show(read) });
  } finally {
    lines.done();
  }
}

function hasEnded(job: Job): job is EndedJob {
  return job.status !== "queued" && job.status !== "in_progress";
}

/** Prints the answer alone (its tool calls if it has no text), or why there is none; then sets the exit code. */
export function printEnd(job: Job, { json }: { json?: boolean | undefined }): void {
  if (json) printJson(job);
  else if (job.status === "completed") printAnswer(job.text ?? jsonLine(job.tool_calls));
  else note(`Job ${job.job_id} is ${job.status}.${job.error ? ` ${describeError(job.error)}` : ""}`);
  if (job.status !== "completed") process.exitCode = exitCodes.notCompleted;
}

/** Prints what is known about the job, its attempts as a table, and its answer. */
export function printJob(job: Job, { json }: { json?: boolean | undefined }): void {
  if (json) {
    printJson(job);
    return;
  }
  const when = (time: string | null | undefined) => (time ? utc(time) : undefined);
  const { usage, waiting_on: on, error, attempts = [] } = job;
  printPairs([
    ["job", job.job_id],
    ["status", job.status],
    ["position", job.position == null ? undefined : grouped(job.position)],
    ["waits for", on?.message],
    ["expected start", when(job.eta)],
    ["expected end", when(job.expected_finish)],
    ["error", error ? describeError(error) : undefined],
    ["environment", job.environment],
    ["tenant", job.tenant],
    ["model", answeredBy(job)],
    ["priority", job.priority],
    ["submitted", when(job.created_at)],
    ["not before", when(job.not_before)],
    ["expires", when(job.expires_at)],
    ["ended", when(job.finished_at)],
    ["retry of", job.retry_of ?? undefined],
    ["labels", job.metadata ? labels(job.metadata) : undefined],
    ["vectors", job.embeddings ? vectors(job.embeddings) : undefined],
    ["tokens", usage ? `${grouped(usage.input_tokens)} input, ${grouped(usage.output_tokens)} output` : undefined],
    ["cost", job.cost_usd == null ? undefined : costOf(job)],
    ["finish reason", job.finish_reason ?? undefined],
    ["erased", job.erased ? "yes: prompt and answer" : undefined],
    ["synthetic", job.synthetic ? "yes: the simulator wrote the text" : undefined],
  ]);
  if (attempts.length > 0) {
    process.stdout.write("\n");
    printTable(attemptColumns, attempts.map(attemptRow));
  }
  const waits = attempts.flatMap(waitRows);
  if (waits.length > 0) {
    process.stdout.write("\n");
    printTable(waitColumns, waits);
  }
  const answer = job.text ?? (job.tool_calls ? jsonLine(job.tool_calls) : undefined);
  if (!answer) return;
  process.stdout.write("\n");
  printAnswer(answer);
}

function vectors({ texts, embedded, dimensions }: NonNullable<Job["embeddings"]>): string {
  const length = dimensions === null ? "" : `, ${grouped(dimensions)} dimensions each`;
  return `${embedded === texts ? "" : `${grouped(embedded)} of `}${grouped(texts)}${length}`;
}

function answeredBy({ model, answered_by: by }: Job): string {
  return by && by !== model ? `${model}, answered by ${by}` : model;
}

function costOf({ cost_usd: cost, cost_usd_estimated: estimated }: Job): string {
  return `${dollars(cost!)}${estimated ? `, of which ${dollars(estimated)} is an estimate` : ""}`;
}

function labels(metadata: Record<string, string>): string {
  return Object.entries(metadata)
    .map(([key, value]) => `${key}=${value}`)
    .join(", ");
}

const attemptColumns = [
  { title: "attempt", align: "right" },
  { title: "started" },
  { title: "took", align: "right" },
  { title: "result" },
  { title: "reserved", align: "right", dropOrder: 1 },
  { title: "used", align: "right", dropOrder: 2 },
  { title: "deployment", atLeast: 16, cutAt: "middle" },
  { title: "error", atLeast: 12, optional: true },
] as const;

function attemptRow(attempt: JobAttempt): string[] {
  const { number, started_at, duration_ms, result, tokens_reserved: reserved, usage, deployment, error } = attempt;
  const took =
    duration_ms === null ? "" : duration_ms < 10_000 ? `${(duration_ms / 1000).toFixed(2)} s` : duration(duration_ms);
  const used = usage ? tokens(usage.input_tokens, usage.output_tokens) : "";
  return [
    ...[String(number), utc(started_at), took, result, tokens(reserved.input, reserved.output), used],
    ...[deployment, error?.message ?? ""],
  ];
}

/** Formats tokens of input and output. */
function tokens(input: number, output: number): string {
  return `${grouped(input)} + ${grouped(output)}`;
}

const waitColumns = [
  { title: "attempt", align: "right" },
  { title: "waited", align: "right" },
  { title: "for", atLeast: 30, cutAt: "middle" },
] as const;

/** Returns what the job waited for before an attempt. An older service does not report it. */
function waitRows({ number, waited = [] }: Partial<JobAttempt>): string[][] {
  return waited
    .filter(({ ms }) => ms >= 1_000)
    .map(({ kind, subject, ms }) => [
      String(number),
      duration(ms),
      `${kind.replaceAll("_", " ")}${subject === null ? "" : `: ${subject}`}`,
    ]);
}
