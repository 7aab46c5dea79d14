// Batches on the terminal: one with all that is known of it, many as a table, and waiting for the end.
import type { BatchResource, SluiceClient } from "../client/index.ts";
import { BatchCost } from "./batch-cost.ts";
import { exitCodes } from "./exit-codes.ts";
import { age, dollars, grouped, several, utc } from "./formats.ts";
import { note, printJson } from "./output.ts";
import { BatchProgressBar } from "./progress-bar.ts";
import { printPairs, printTable } from "./table.ts";
import { oneLine } from "./terminal.ts";

const maxMistakesShown = 20;
const pollMs = 500;

/** The bar is drawn only if both outputs are terminals. Otherwise the command is part of a script. */
export function newProgressBar(): BatchProgressBar {
  const isTerminal = process.stdout.isTTY === true && process.stderr.isTTY === true;
  return new BatchProgressBar(process.stderr, () => Date.now(), isTerminal);
}

/** Shows the progress until the batch has ended, and returns it. Ctrl-C ends the waiting, not the batch. */
export async function followBatch(
  service: SluiceClient,
  batchId: string,
  bar: BatchProgressBar = newProgressBar(),
): Promise<BatchResource> {
  const cost = new BatchCost(service);
  const stop = () => {
    bar.clear();
    note(`Stopped waiting. The batch continues; to see it: sluice batch status ${batchId} --wait`);
    process.exit(exitCodes.interrupted);
  };
  process.once("SIGINT", stop);
  try {
    let drawn: Promise<void> = Promise.resolve();
    const draw = (batch: BatchResource) => {
      // The next reading need not wait for the samples of this one.
      drawn = drawn.then(async () => bar.batch(batch, await cost.of(batch)));
    };
    const ended = await service.waitForBatch(batchId, { onBatch: draw, pollMs });
    await drawn;
    return ended;
  } finally {
    process.off("SIGINT", stop);
    bar.clear();
  }
}

/** Prints how a batch ended, and sets the exit code if a line has no answer. */
export function printBatchEnd(batch: BatchResource, { json }: { json?: boolean | undefined }): void {
  const { id, status, request_counts: counts } = batch;
  if (json) printJson(batch);
  else {
    process.stdout.write(`Batch ${id} is ${status}: ${resultOf(batch)}.\n`);
    printMistakes(batch);
    if (counts.completed > 0) note(`To read the answers: sluice batch results ${id} --output answers.jsonl`);
    if (counts.completed < counts.total) note(`To run the other lines again: sluice batch retry-failed ${id}`);
  }
  if (status !== "completed" || counts.completed < counts.total) process.exitCode = exitCodes.notCompleted;
}

function resultOf({ status, request_counts: { total, completed }, cost_usd: cost }: BatchResource): string {
  if (status === "failed") return "the service refused its file";
  const missing = completed === total ? "" : `, ${grouped(total - completed)} did not`;
  return `${grouped(completed)} of ${several(total, "line")} completed${missing}${cost === undefined ? "" : `, ${dollars(cost)}`}`;
}

function printMistakes({ errors }: BatchResource): void {
  const mistakes = errors?.data ?? [];
  for (const { line, code, message, param } of mistakes.slice(0, maxMistakesShown)) {
    note(oneLine(`${line === null ? "file" : `line ${line}`}: ${code}: ${param ? `${param}: ` : ""}${message}`));
  }
  if (mistakes.length > maxMistakesShown) note(`... and ${mistakes.length - maxMistakesShown} more`);
}

/** Prints what is known about a batch. */
export function printBatch(batch: BatchResource, { json }: { json?: boolean | undefined }): void {
  if (json) {
    printJson(batch);
    return;
  }
  const time = (seconds: number | undefined) => (seconds === undefined ? undefined : utc(seconds * 1000));
  const { request_counts: counts, progress, usage, waiting_on: on } = batch;
  const ended = batch.completed_at ?? batch.failed_at ?? batch.expired_at ?? batch.cancelled_at;
  const states = Object.entries(progress).filter(([, lines]) => lines > 0);
  printPairs([
    ["batch", batch.id],
    ["status", batch.status],
    ["lines", counts.total === 0 ? undefined : grouped(counts.total)],
    [
      "by state",
      states.map(([state, lines]) => `${grouped(lines)} ${state.replace("in_progress", "running")}`).join(", ") ||
        undefined,
    ],
    ["waits for", on?.message],
    ["expected end", time(batch.expected_finish ?? batch.eta)],
    ["environment", batch.environment],
    ["endpoint", batch.endpoint],
    ["created", time(batch.created_at)],
    [
      "window",
      `${batch.completion_window}${batch.expires_at === undefined ? "" : `, until ${time(batch.expires_at)}`}`,
    ],
    ["ended", time(ended)],
    ["tokens", usage && `${grouped(usage.input_tokens)} input, ${grouped(usage.output_tokens)} output`],
    ["cost", batch.cost_usd === undefined ? undefined : dollars(batch.cost_usd)],
    ["retry of", batch.retry_of],
    ["labels", batch.metadata ? JSON.stringify(batch.metadata) : undefined],
    ["input file", batch.input_file_id],
    ["output file", batch.output_file_id],
    ["error file", batch.error_file_id],
  ]);
  printMistakes(batch);
}

const columns = [
  { title: "batch" },
  { title: "status" },
  { title: "env", atLeast: 4 },
  { title: "age", align: "right" },
  { title: "lines", align: "right" },
  { title: "done", align: "right" },
  { title: "failed", align: "right" },
  { title: "cost", align: "right", optional: true },
] as const;

export function printBatches(batches: readonly BatchResource[]): void {
  printTable(
    columns,
    batches.map(({ id, status, environment, created_at, request_counts: { total, completed, failed }, cost_usd }) => [
      ...[id, status, environment, age(created_at * 1000, Date.now())],
      ...[grouped(total), grouped(completed), grouped(failed), cost_usd === undefined ? "" : dollars(cost_usd)],
    ]),
  );
}
