// sluice batch submit: uploads a file, creates a batch from it, and waits for its end if asked.
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { Command, Option } from "commander";
import type { BatchDryRun, BatchRequest, SluiceClient } from "../client/index.ts";
import { followBatch, newProgressBar, printBatchEnd } from "./batch-view.ts";
import { CommandError, exitCodes } from "./exit-codes.ts";
import { dollars, grouped, several } from "./formats.ts";
import { addLabel } from "./job-filter.ts";
import { note, printJson } from "./output.ts";
import type { BatchProgressBar } from "./progress-bar.ts";
import { askService, type ServiceOptions, withServiceOptions } from "./service-client.ts";
import { printPairs } from "./table.ts";
import { oneLine } from "./terminal.ts";

interface SubmitOptions extends ServiceOptions {
  environment?: string;
  window?: string;
  endpoint?: string;
  metadata?: Record<string, string>;
  webhookUrl?: string;
  wait?: boolean;
  dryRun?: boolean;
}

export function batchSubmitCommand(): Command {
  const command = new Command("submit")
    .description("Upload a file with one request a line, and run its lines. Prints the batch's id.")
    .argument("<file>", "JSON lines in the form of OpenAI's Batch API, or - for standard input")
    .option("--environment <name>", "environment of the jobs (default: the first that the key may use)")
    .option("--window <time>", "hours or days in which it must complete, from 1h to 14d (default: 24h)")
    .option("--endpoint <path>", "the path that the lines name (default: that of the first line)")
    .option("--metadata <key=value>", "label of the batch; may be repeated", addLabel)
    .option("--webhook-url <url>", "where the service posts the end of the batch")
    .option("--wait", "wait for the end; shows progress, cost and expected end")
    .addOption(new Option("--dry-run", "only check the file and tell tokens, cost and expected end").conflicts("wait"));
  return withServiceOptions(command)
    .addHelpText(
      "after",
      `
A line of the file:
  {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions",
   "body": {"model": "m", "messages": [...]}}
With --endpoint /model/MODEL-ID/invoke or /converse also, as for Bedrock's batch
inference:
  {"recordId": "1", "modelInput": {...}}

Examples:
  sluice batch submit prompts.jsonl --environment PROD --wait
  sluice batch submit prompts.jsonl --dry-run
  sluice batch submit records.jsonl --endpoint /model/nova-2-lite/converse
  gunzip -c prompts.jsonl.gz | sluice batch submit - --window 7d`,
    )
    .action(submit);
}

async function submit(file: string, options: SubmitOptions): Promise<void> {
  const { url, json, wait, dryRun } = options;
  await askService(url, async (service, patient) => {
    const bar = newProgressBar();
    const request = await upload(service, file, options, bar);
    if (dryRun) {
      await tryFile(patient, request, options);
      return;
    }
    const batch = await patient.createBatch(request);
    if (!wait) {
      if (json) printJson(batch);
      else process.stdout.write(`${batch.id}\n`);
      return;
    }
    note(`Batch ${batch.id} is created. Ctrl-C stops waiting, not the batch.`);
    printBatchEnd(await followBatch(patient, batch.id, bar), { json });
  });
}

async function upload(
  service: SluiceClient,
  path: string,
  { environment, window, endpoint, metadata, webhookUrl }: SubmitOptions,
  bar: BatchProgressBar,
): Promise<BatchRequest> {
  const input = await open(path);
  let firstLine = "";
  async function* pieces(): AsyncGenerator<Uint8Array> {
    let bytes = 0;
    for await (const piece of input.bytes) {
      if (!firstLine.includes("\n") && firstLine.length < maxFirstLine) firstLine += piece.toString("utf8");
      yield piece;
      bytes += piece.length;
      if (input.size !== undefined) bar.uploaded(bytes, input.size);
    }
  }
  try {
    const file = await service.uploadFile(pieces(), {
      filename: input.name,
      ...(environment !== undefined && { environment }),
    });
    const path = endpoint ?? endpointIn(firstLine);
    return {
      input_file_id: file.id,
      ...(path !== undefined && { endpoint: path }),
      ...(window !== undefined && { completion_window: window }),
      ...(metadata && { metadata }),
      ...(webhookUrl !== undefined && { webhook_url: webhookUrl }),
    };
  } finally {
    bar.clear();
  }
}

interface Input {
  name: string;
  bytes: AsyncIterable<Buffer>;
  /** Absent for a stream. */
  size?: number;
}

async function open(path: string): Promise<Input> {
  if (path === "-") return { name: "stdin.jsonl", bytes: process.stdin };
  try {
    const found = await stat(path);
    if (found.isDirectory()) throw Object.assign(new Error(), { code: "EISDIR" });
    const stream = createReadStream(path);
    await new Promise((resolve, reject) => stream.once("open", resolve).once("error", reject));
    return { name: path.split("/").at(-1)!, bytes: stream, ...(found.isFile() && { size: found.size }) };
  } catch (error) {
    throw new CommandError(
      `${path} cannot be read: ${(error as NodeJS.ErrnoException).code}. Name a file of JSON lines.`,
    );
  }
}

const maxFirstLine = 10_000_000;

/** Returns undefined if the line tells nothing; the service then says what is wrong with it. */
function endpointIn(text: string): string | undefined {
  try {
    const { url } = JSON.parse(text.replace(/^\ufeff/, "").split("\n", 1)[0]!);
    return typeof url === "string" ? url : undefined;
  } catch {
    return undefined;
  }
}

// ---------------------------------------------------------------- --dry-run

async function tryFile(service: SluiceClient, request: BatchRequest, { json }: SubmitOptions): Promise<void> {
  try {
    const result = await service.dryRunBatchFile(request);
    if (json) printJson(result);
    else print(result);
    if (!result.valid) process.exitCode = exitCodes.error;
  } finally {
    await service.deleteFile(request.input_file_id).catch(() => {});
  }
}

function print({ valid, errors, lines, tokens, cost_usd: cost, quota, ...times }: BatchDryRun): void {
  for (const { line, code, message } of errors?.data ?? []) {
    note(oneLine(`${line === null ? "file" : `line ${line}`}: ${code}: ${message}`));
  }
  if (!valid) {
    note("The batch would be refused. Correct these lines, and try again.");
    return;
  }
  printPairs([
    ["lines", grouped(lines)],
    [
      "tokens",
      tokens ? `${grouped(tokens.input_reserved)} input, at most ${grouped(tokens.max_output)} output` : undefined,
    ],
    ["cost", cost ? `${dollars(cost.min)} to ${dollars(cost.max)}` : "not known: a model has no price"],
    [
      "limited by",
      quota ? `${quota.name}: takes ${grouped(quota.takes)} of ${grouped(quota.limit)} a ${quota.per}` : undefined,
    ],
    ["waits for", times.waiting_on?.message],
    ["expected start", times.expected_start ?? undefined],
    ["expected end", times.expected_finish ?? times.expected_last_start ?? undefined],
    ["expires", times.expires_at],
    [
      "in time",
      times.in_completion_window === null ? undefined : times.in_completion_window ? "yes" : "no: raise --window",
    ],
  ]);
  note(`${several(lines, "line")} checked. Nothing was submitted.`);
}
