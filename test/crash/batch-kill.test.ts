// kill -9 in the middle of an upload, of turning lines into jobs, and of running them, again and again. The service is the
// real one, in a process of its own, and calls a simulator in this one. In the end every line of the file stands in one
// of the two result files, once, in the order of lines, and nothing is left behind on disk.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import OpenAI, { toFile } from "openai";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { stringify } from "yaml";
import { type Simulator, startSimulator } from "../../src/simulator/simulator.ts";

const lines = 1_500;
const killsWhileRunning = 2;

let folder: string;
let simulator: Simulator;
let child: ChildProcess | undefined;
let url: string;
let client: OpenAI;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-batch-kill-"));
  simulator = await startSimulator({ latencyMs: [1, 20], journalSize: 100_000 });
  await mkdir(join(folder, "data"));
  const deployment = {
    region: "us-east-1",
    modelId: "us.meta.llama3-3-70b-instruct-v1:0",
    endpoint: simulator.url,
    maxConcurrency: 30,
    quotas: [{ unit: "requests", per: "minute", limit: 1_000_000 }],
  };
  await writeFile(
    join(folder, "sluice.yaml"),
    stringify({ models: { llama: { maxOutputTokens: 20, deployments: [deployment] } } }),
  );
});

afterAll(async () => {
  child?.kill("SIGKILL");
  await simulator?.stop();
  await rm(folder, { recursive: true, force: true });
});

const within = { timeout: 60_000, interval: 5 };

test("an upload that is cut off by kill -9 leaves nothing, and a batch is whole after any number of them", async () => {
  await startService();
  await uploadHalf();
  await kill();
  expect((await readdir(join(folder, "data", "files"))).length).toBeGreaterThan(0);
  await startService();
  expect((await client.files.list()).data).toEqual([]);
  expect(await readdir(join(folder, "data", "files"))).toEqual([]);

  const ids = Array.from({ length: lines }, (_, i) => `line ${i}`);
  const content = ids.map((custom_id) =>
    JSON.stringify({
      custom_id,
      method: "POST",
      url: "/v1/chat/completions",
      body: { model: "llama", messages: [{ role: "user", content: custom_id }] },
    }),
  );
  const file = await client.files.create({
    file: await toFile(Buffer.from(content.join("\n")), "in.jsonl"),
    purpose: "batch",
  });
  const { id } = await client.batches.create({
    input_file_id: file.id,
    endpoint: "/v1/chat/completions",
    completion_window: "24h",
  });
  // As soon as some of the jobs are there.
  await vi.waitFor(async () => expect(await jobCount()).toBeGreaterThan(0), within);
  await kill();

  for (let i = 0; i < killsWhileRunning; i++) {
    const before = simulator.callCount;
    await startService();
    await vi.waitFor(() => expect(simulator.callCount).toBeGreaterThan(before + 200), within);
    await kill();
  }
  await startService();
  const done = await vi.waitFor(async () => {
    const batch = await client.batches.retrieve(id);
    expect(batch.status).toBe("completed");
    return batch;
  }, within);

  const output = await linesOf(done.output_file_id);
  const errors = await linesOf(done.error_file_id);
  const numbers = (all: { custom_id: string }[]) => all.map((line) => Number(line.custom_id.slice("line ".length)));
  expect(numbers(output)).toEqual(numbers(output).toSorted((a, b) => a - b));
  expect([...numbers(output), ...numbers(errors)].toSorted((a, b) => a - b)).toEqual(ids.map((_, i) => i));
  // Only what was killed in its middle three times has failed.
  for (const { response } of errors) expect(response.body.error.code).toBe("tries_exhausted");
  expect(done.request_counts).toEqual({ total: lines, completed: output.length, failed: errors.length });
  // Every line was called, and only those that a kill hit more than once.
  expect(simulator.callCount).toBeGreaterThanOrEqual(lines);
  expect(simulator.callCount).toBeLessThanOrEqual(lines + killsWhileRunning * 60);
  // The input and the results.
  const kept = errors.length > 0 ? 3 : 2;
  await vi.waitFor(async () => expect(await readdir(join(folder, "data", "files"))).toHaveLength(kept), within);
}, 180_000);

async function startService(): Promise<void> {
  const service = spawn(
    process.execPath,
    ["--import", import.meta.resolve("tsx"), resolve(import.meta.dirname, "../../src/cli/main.ts"), "serve"],
    {
      cwd: folder,
      env: { ...process.env, PORT: "0", SLUICE_LOG_LEVEL: "warn", AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "b" },
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  child = service;
  url = await new Promise((found, failed) => {
    const said: string[] = [];
    const listen = (line: string) => {
      said.push(line);
      const ready = /ready on (http:\S+)/.exec(line)?.[1];
      if (ready) found(ready);
    };
    createInterface({ input: service.stdout }).on("line", listen);
    createInterface({ input: service.stderr }).on("line", listen);
    service.once("exit", (code) => failed(new Error(`The service ended with ${code}:\n${said.join("\n")}`)));
  });
  client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
}

async function kill(): Promise<void> {
  const gone = once(child!, "exit");
  child!.kill("SIGKILL");
  await gone;
}

/** Sends the beginning of a form, and resolves when some of the file is on disk. */
async function uploadHalf(): Promise<void> {
  const form = request(`${url}/v1/files`, {
    method: "POST",
    headers: { "content-type": "multipart/form-data; boundary=b" },
  });
  form.on("error", () => {});
  form.write('--b\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n');
  form.write("x".repeat(2_000_000));
  await vi.waitFor(async () => expect(await readdir(join(folder, "data", "files"))).toHaveLength(1), within);
}

async function jobCount(): Promise<number> {
  const response = await fetch(`${url}/v1/stats`);
  const numbers = [...(await response.text()).matchAll(/"(?:queued|in_progress|completed)":(\d+)/g)];
  return numbers.reduce((sum, [, n]) => sum + Number(n), 0);
}

// biome-ignore lint/suspicious/noExplicitAny: compared with what is expected
async function linesOf(fileId: string | undefined): Promise<any[]> {
  if (fileId === undefined) return [];
  const text = await (await client.files.content(fileId)).text();
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}
