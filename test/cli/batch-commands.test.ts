// sluice batch against a running service: a file from its upload to its deletion, and what goes wrong on the way.

import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { BatchResource } from "../../src/client/index.ts";
import type { NativeRequest } from "../../src/domain/native-request.ts";
import { canonicalPart, isNative } from "../../src/domain/request.ts";
import { type Provider, type ProviderAnswer, ProviderError } from "../../src/providers/provider.ts";
import { lineOf, shouting, startTestService, type TestService } from "../batches/support.ts";
import { sluice as runSluice } from "./run-inside.ts";

/** Refuses what begins with "refuse" until it is told otherwise, and never answers "never". */
let refusing = true;
const provider: Provider = {
  async call(call) {
    if (isNative(call.request)) return nativeAnswer(call.request);
    const [block] = canonicalPart(call.request).messages[0]!.content;
    const prompt = block?.type === "text" ? block.text : "";
    if (prompt === "never") return new Promise((_, reject) => call.signal.addEventListener("abort", reject));
    if (refusing && prompt.startsWith("refuse")) {
      throw new ProviderError({
        kind: "permanent",
        code: "provider_rejected",
        message: "No.",
        maybeBilled: false,
      });
    }
    return shouting.call(call);
  },
  async close() {},
};

/** Answers with the body in capitals. */
function nativeAnswer({ native }: NativeRequest): ProviderAnswer {
  const text = native.body.toUpperCase();
  return { text, native: { body: JSON.stringify({ generation: text }) }, toolCalls: [], finishReason: "stop" };
}

const folder = mkdtempSync(join(tmpdir(), "sluice-batch-commands-"));
let service: TestService;
beforeAll(async () => {
  service = await startTestService("embedded", { provider, file: { worker: { drainMs: 100 } } });
});
afterAll(async () => {
  await service.close();
  rmSync(folder, { recursive: true, force: true });
});

const sluice = (...args: string[]) => runSluice(["batch", ...args], { SLUICE_URL: service.url });
const fileOf = (name: string, lines: string[]) => {
  const path = join(folder, name);
  writeFileSync(path, lines.map((line) => `${line}\n`).join(""));
  return path;
};
const idIn = (text: string) => /batch_\w+/.exec(text)![0];

test("submit --wait, status, results, retry-failed, list and delete", async () => {
  const file = fileOf("prompts.jsonl", [lineOf("a", "alpha"), lineOf("b", "refuse"), lineOf("c", "=1+1")]);
  const submitted = await sluice("submit", file, "--environment", "PROD", "--wait", "--metadata", "team=x");
  // A line without an answer is worth a code of its own.
  expect(submitted.code, submitted.stderr).toBe(3);
  expect(submitted.stdout).toMatch(/^Batch batch_\w+ is completed: 2 of 3 lines completed, 1 did not, \$[\d.]+\.\n$/);
  expect(submitted.stderr).toMatch(/^completed: 2 of 3 completed, 1 failed, \$[\d.]+$/m);
  expect(submitted.stderr).toContain("To run the other lines again: sluice batch retry-failed");
  const id = idIn(submitted.stdout);

  const status = await sluice("status", id);
  expect(status.stdout).toMatch(/^by state +2 completed, 1 failed$/m);
  expect(status.stdout).toMatch(/^labels +\{"team":"x"\}$/m);
  expect(JSON.parse((await sluice("status", id, "--json")).stdout)).toMatchObject({ id, environment: "PROD" });

  const results = await sluice("results", id);
  expect(results.stderr).toBe("Wrote 3 results.\n");
  const lines = results.stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines.map((line) => [line.custom_id, line.response.status_code])).toEqual([
    ...[
      ["a", 200],
      ["b", 400],
      ["c", 200],
    ],
  ]);
  expect((await sluice("results", id, "--text", "--failed")).stdout).toMatch(
    /^\{"custom_id":"b","text":null,"error":\{.*\}\}\n$/,
  );
  const output = join(folder, "answers.jsonl");
  await sluice("results", id, "--text", "--output", output);
  expect(readFileSync(output, "utf8").split("\n")[0]).toBe('{"custom_id":"a","text":"ALPHA"}');
  expect(statSync(output).mode & 0o777).toBe(0o600);

  refusing = false;
  const retried = await sluice("retry-failed", id, "--wait", "--json");
  refusing = true;
  expect(retried.code, retried.stderr).toBe(0);
  const retry = JSON.parse(retried.stdout) as BatchResource;
  expect(retry).toMatchObject({ retry_of: id, request_counts: { total: 1, completed: 1 } });
  expect((await sluice("retry-failed", id)).stdout).toBe(`${retry.id}\n`);

  const list = await sluice("list");
  const rows = list.stdout.split("\n").map((line) => line.split(/ {2,}/).slice(0, 3));
  expect(rows.slice(0, 3)).toEqual([
    ["batch", "status", "env"],
    [retry.id, "completed", "PROD"],
    [id, "completed", "PROD"],
  ]);
  expect((await sluice("list", "--limit", "1", "--json")).stdout.split("\n")).toHaveLength(2);

  expect(await sluice("delete", id)).toMatchObject({ code: 0, stdout: `Batch ${id} is deleted.\n` });
  const gone = await sluice("status", id);
  expect(gone).toMatchObject({ code: 1, stdout: "" });
  expect(gone.stderr).toMatch(/^batch_not_found: /);
});

test("cancel ends a batch, and its results so far can be read meanwhile", async () => {
  const file = fileOf("slow.jsonl", [lineOf("quick"), lineOf("never")]);
  const id = idIn((await sluice("submit", file)).stdout);
  const quick = () => sluice("results", id);
  await expect.poll(quick, { timeout: 20_000 }).toMatchObject({
    stdout: expect.stringMatching(/^\{.*"custom_id":"quick".*\}\n$/),
    stderr: "Wrote 1 result, of a batch that still runs: 1 of 2 completed.\n",
  });
  const refused = await sluice("delete", id);
  expect(refused).toMatchObject({ code: 1 });
  expect(refused.stderr).toMatch(/^conflict: /);
  expect((await sluice("cancel", id)).stdout).toBe(`Batch ${id} is cancelling.\n`);
});

test("a file with mistakes: each line is named", async () => {
  const submitted = await sluice("submit", fileOf("bad.jsonl", [lineOf("a"), "no JSON", lineOf("a")]), "--wait");
  expect(submitted.code).toBe(3);
  expect(submitted.stdout).toMatch(/^Batch batch_\w+ is failed: the service refused its file\.\n$/);
  expect(submitted.stderr).toMatch(/^line 2: invalid_json_line: /m);
  expect(submitted.stderr).toMatch(/^line 3: duplicate_custom_id: /m);
});

test("submit --endpoint takes lines for Bedrock's batch inference", async () => {
  const file = fileOf("records.jsonl", ['{"recordId": "r1", "modelInput": {"prompt": "a",  "n": 1.0}}']);
  const endpoint = "/model/us.meta.llama3-3-70b-instruct-v1:0/invoke";
  const submitted = await sluice("submit", file, "--wait", "--endpoint", endpoint);
  expect(submitted.code, submitted.stderr).toBe(0);
  const text = '{"PROMPT": "A",  "N": 1.0}';
  const results = await sluice("results", idIn(submitted.stdout));
  expect(JSON.parse(results.stdout)).toMatchObject({
    custom_id: "r1",
    response: { body: { generation: text }, text },
  });
  const texts = await sluice("results", idIn(submitted.stdout), "--text");
  expect(texts.stdout).toContain(JSON.stringify(text).slice(1, -1));
  const unnamed = await sluice("submit", file, "--dry-run");
  expect(unnamed.code).toBe(1);
  expect(unnamed.stderr).toMatch(/^line 1: .*needs a batch whose endpoint is \/model\/\{modelId\}\/converse/m);
});

test("--dry-run sums up the file, names its mistakes, and leaves nothing behind", async () => {
  const files = async () => (await service.client.files.list()).data.length;
  const before = await files();
  const good = await sluice("submit", fileOf("good.jsonl", [lineOf("a"), lineOf("b")]), "--dry-run");
  expect(good.code, good.stderr).toBe(0);
  expect(good.stdout).toMatch(/^lines +2$/m);
  expect(good.stdout).toMatch(/^cost +\$/m);
  const bad = await sluice("submit", fileOf("bad.jsonl", ["{}"]), "--dry-run", "--endpoint", "/v1/chat/completions");
  expect(bad.code).toBe(1);
  expect(bad.stderr).toMatch(/^line 1: /m);
  expect(await files()).toBe(before);
});

test("results go into a named pipe as it is, and a folder is refused", async () => {
  const id = idIn((await sluice("list", "--limit", "1", "--json")).stdout);
  const pipe = join(folder, "pipe");
  execFileSync("mkfifo", [pipe]);
  const [piped] = await Promise.all([readFile(pipe, "utf8"), sluice("results", id, "--output", pipe)]);
  expect(piped).toBe((await sluice("results", id)).stdout);
  expect(statSync(pipe).isFIFO()).toBe(true);
  expect((await sluice("results", id, "--output", folder)).stderr).toMatch(
    /cannot be written: EISDIR\. Name another file/,
  );
});

test("what cannot be read or written is said before anything is sent, and no half file is left", async () => {
  const missing = await sluice("submit", join(folder, "missing.jsonl"));
  expect(missing).toMatchObject({ code: 1, stdout: "" });
  expect(missing.stderr).toMatch(/missing\.jsonl cannot be read: ENOENT\. Name a file of JSON lines\.\n$/);
  expect((await sluice("submit", folder)).stderr).toContain("cannot be read: EISDIR");
  const id = idIn((await sluice("submit", fileOf("one.jsonl", [lineOf("a")]))).stdout);
  const output = join(folder, "no", "such", "folder.jsonl");
  const unwritable = await sluice("results", id, "--output", output);
  expect(unwritable).toMatchObject({ code: 1, stdout: "" });
  expect(unwritable.stderr).toMatch(/cannot be written: ENOENT\. Name another file with --output\.\n$/);
  const kept = join(folder, "kept.jsonl");
  await sluice("results", "batch_missing", "--output", kept);
  expect([kept, `${kept}.partial`].filter(existsSync)).toEqual([]);
});
