// sluice batch: submits, lists and follows batches, reads their results, and runs failed lines again.
import { Command } from "commander";
import type { BatchResource, SluiceClient } from "../client/index.ts";
import { jsonLine } from "../domain/json-lines.ts";
import { batchSubmitCommand } from "./batch-submit.ts";
import { followBatch, printBatch, printBatchEnd, printBatches } from "./batch-view.ts";
import { several } from "./formats.ts";
import { wholeNumber } from "./numbers.ts";
import { note, printJson } from "./output.ts";
import { writeResult } from "./result-file.ts";
import { askService, type ServiceOptions, withServiceOptions } from "./service-client.ts";

const exampleId = "batch_019ab2c45d6e7f80912345678";
const defaultLimit = 20;

export function batchCommand(): Command {
  return new Command("batch")
    .description("Submit files of requests, follow them, and read their results.")
    .addCommand(batchSubmitCommand())
    .addCommand(listCommand())
    .addCommand(statusCommand())
    .addCommand(resultsCommand())
    .addCommand(retryCommand())
    .addCommand(
      oneBatch("cancel", "Cancel a batch. Waiting lines end at once; running calls have ten minutes to end.")
        .addHelpText("after", examples(`cancel ${exampleId}`, `cancel ${exampleId} --json`))
        .action(cancel),
    )
    .addCommand(
      oneBatch("delete", "Delete an ended batch with its prompts, answers and files, permanently.")
        .addHelpText("after", examples(`delete ${exampleId}`, `delete ${exampleId} --json`))
        .action(remove),
    )
    .addHelpText(
      "after",
      examples("submit prompts.jsonl --environment PROD --wait", "list", `results ${exampleId} --output answers.jsonl`),
    );
}

function examples(...lines: string[]): string {
  return `\nExamples:\n${lines.map((line) => `  sluice batch ${line}`).join("\n")}`;
}

function oneBatch(name: string, description: string): Command {
  const command = new Command(name)
    .description(description)
    .argument("<batch-id>", "the id that submit and list print");
  return withServiceOptions(command);
}

// ---------------------------------------------------------------- list and status

interface ListOptions extends ServiceOptions {
  limit: number;
}

function listCommand(): Command {
  const command = new Command("list")
    .description("List batches, newest first.")
    .option("--limit <n>", "batches to list at most", wholeNumber(1, 100_000), defaultLimit);
  return withServiceOptions(command)
    .addHelpText("after", `\n--json prints one object a line.\n${examples("list", "list --limit 100 --json")}`)
    .action(list);
}

async function list({ url, json, limit }: ListOptions): Promise<void> {
  await askService(url, async (service) => {
    const batches: BatchResource[] = [];
    let more = false;
    for await (const batch of service.listBatches()) {
      more = batches.length === limit;
      if (more) break;
      batches.push(batch);
      if (json) printJson(batch);
    }
    if (!json && batches.length > 0) printBatches(batches);
    if (batches.length === 0) note("There are no batches.");
    if (more) note("There are more batches than these; --limit lists more.");
  });
}

function statusCommand(): Command {
  return oneBatch("status", "Show a batch: its lines by state, its expected end, its cost.")
    .option("--wait", "wait for its end and show the progress")
    .addHelpText("after", examples(`status ${exampleId}`, `status ${exampleId} --wait`))
    .action(status);
}

function status(id: string, { url, json, wait }: ServiceOptions & { wait?: boolean }): Promise<void> {
  return askService(url, async (service, patient) => {
    const batch = await service.getBatch(id);
    if (wait) printBatchEnd(await followBatch(patient, batch.id), { json });
    else printBatch(batch, { json });
  });
}

// ---------------------------------------------------------------- results

interface ResultsOptions extends ServiceOptions {
  output?: string;
  failed?: boolean;
  text?: boolean;
}

function resultsCommand(): Command {
  return oneBatch(
    "results",
    "Write the results in the order of the lines, as JSON lines. Lines that still run are left out.",
  )
    .option("--output <file>", "the file to write, which only you can read (default: standard output)")
    .option("--failed", "only lines without an answer")
    .option("--text", "only the texts of the answers, as JSON lines of custom_id and text or error")
    .addHelpText(
      "after",
      `
--json changes nothing: results are JSON lines, in the form of OpenAI's Batch
API.
${examples(`results ${exampleId} --output answers.jsonl`, `results ${exampleId} --failed`, `results ${exampleId} --text | jq -r .text`)}`,
    )
    .action(results);
}

function results(id: string, { url, output, failed, text }: ResultsOptions): Promise<void> {
  return askService(url, async (service, patient) => {
    const batch = await service.getBatch(id);
    let lines = 0;
    await writeResult(output, async (write) => {
      for await (const line of resultLines(patient, id, { failed, text })) {
        await write(`${line}\n`);
        lines++;
      }
    });
    const { total, completed } = batch.request_counts;
    const running =
      batch.status === "in_progress" ? `, of a batch that still runs: ${completed} of ${total} completed` : "";
    note(
      `Wrote ${several(lines, "result")}${output === undefined || output === "-" ? "" : ` to ${output}`}${running}.`,
    );
  });
}

async function* resultLines(
  service: SluiceClient,
  id: string,
  { failed, text }: Pick<ResultsOptions, "failed" | "text">,
): AsyncGenerator<string> {
  if (text) {
    for await (const { customId, text: answer, error } of service.batchResults(id)) {
      if (!failed || error) yield jsonLine({ custom_id: customId, text: answer, ...(error && { error }) });
    }
    return;
  }
  for await (const line of service.batchResultLines(id)) {
    if (!failed || JSON.parse(line).response?.status_code !== 200) yield line;
  }
}

// ---------------------------------------------------------------- retry-failed, cancel, delete

function retryCommand(): Command {
  return oneBatch("retry-failed", "Run the lines again that did not complete, as a new batch. Prints its id.")
    .option("--wait", "wait for the end of the new batch and show the progress")
    .addHelpText(
      "after",
      `
Retrying a batch twice gives the same new batch.
${examples(`retry-failed ${exampleId}`, `retry-failed ${exampleId} --wait`)}`,
    )
    .action(retryFailed);
}

function retryFailed(id: string, { url, json, wait }: ServiceOptions & { wait?: boolean }): Promise<void> {
  return askService(url, async (service, patient) => {
    const batch = await service.retryBatch(id);
    if (wait) {
      note(`Batch ${batch.id} runs the failed lines of ${id}. Ctrl-C stops waiting, not the batch.`);
      printBatchEnd(await followBatch(patient, batch.id), { json });
    } else if (json) printJson(batch);
    else process.stdout.write(`${batch.id}\n`);
  });
}

async function cancel(id: string, { url, json }: ServiceOptions): Promise<void> {
  const batch = await askService(url, (service) => service.cancelBatch(id));
  if (json) printJson(batch);
  else process.stdout.write(`Batch ${batch.id} is ${batch.status}.\n`);
}

async function remove(id: string, { url, json }: ServiceOptions): Promise<void> {
  const deleted = await askService(url, (service) => service.deleteBatch(id));
  if (json) printJson(deleted);
  else process.stdout.write(`Batch ${deleted.id} is deleted.\n`);
}
