// kill -9 in the middle of the upload of 100,000 lines, of checking them, of turning them into jobs, and of running them. The
// service is the real one, in a process of its own, and calls a simulator in this one. In the end every line of the
// file stands in one of the two result files, once, in the order of lines, nothing is left behind on disk, and the
// service has never taken much memory.
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI, { toFile } from "openai";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { stringify } from "yaml";
import { type Simulator, startSimulator } from "../../src/simulator/simulator.ts";
import { startSluice } from "../support/sluice-process.ts";

const lines = 100_000;
const callsAtOnce = 60;
const killsWhileRunning = 2;
/** Calls between two of them. */
const callsBetweenKills = 500;
/** Of the whole process, Node and the program included. It was 590 where this was written. */
const mostMemoryMb = 1_000;

let folder: string;
let simulator: Simulator;
let child: ChildProcess | undefined;
let url: string;
let client: OpenAI;
/** The most memory that any process of the service has had, in MB. */
let peakMb = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-batch-kill-"));
  simulator = await startSimulator({ latencyMs: [0, 10], journalSize: 200_000, models: { llama: {} } });
  await mkdir(join(folder, "data"));
  const deployment = {
    provider: "openai",
    baseUrl: `${simulator.url}/v1`,
    modelId: "llama",
    maxConcurrency: callsAtOnce,
    quotas: [{ unit: "requests", per: "minute", limit: 10_000_000, burst: 10_000_000 }],
  };
  const models = { llama: { contextTokens: 8192, maxOutputTokens: 5, deployments: [deployment] } };
  await writeFile(join(folder, "sluice.yaml"), stringify({ models }));
});

afterAll(async () => {
  child?.kill("SIGKILL");
  await simulator?.stop();
  await rm(folder, { recursive: true, force: true });
});

const within = { timeout: 400_000, interval: 5 };

test("100,000 lines are whole after a kill in each of their stages, and take bounded memory", async () => {
  const ids = Array.from({ length: lines }, (_, i) => `line ${i}`);
  const content = Buffer.from(
    ids
      .map((custom_id) =>
        JSON.stringify({
          custom_id,
          method: "POST",
          url: "/v1/chat/completions",
          body: { model: "llama", messages: [{ role: "user", content: custom_id }] },
        }),
      )
      .join("\n"),
  );

  await startService();
  await uploadHalf(content);
  await kill();
  expect((await readdir(join(folder, "data", "files"))).length).toBeGreaterThan(0);
  await startService();
  expect((await client.files.list()).data).toEqual([]);
  expect(await readdir(join(folder, "data", "files"))).toEqual([]);
  const file = await client.files.create({ file: await toFile(content, "in.jsonl"), purpose: "batch" });
  const { id } = await client.batches.create({
    input_file_id: file.id,
    endpoint: "/v1/chat/completions",
    completion_window: "24h",
  });

  // In the middle of the check.
  expect((await client.batches.retrieve(id)).status).toBe("validating");
  await kill();
  await startService();
  expect((await client.batches.retrieve(id)).status).toBe("validating");

  // When some of the jobs are there, and again when there are more.
  for (const share of [0, 0.4]) {
    await vi.waitFor(async () => expect(await jobCount()).toBeGreaterThan(lines * share), within);
    await kill();
    await startService();
    expect((await client.batches.retrieve(id)).status).toBe("in_progress");
  }

  // When all of them are there and run.
  await vi.waitFor(async () => expect(await jobCount()).toBe(lines), within);
  for (let i = 0; i < killsWhileRunning; i++) {
    const before = simulator.callCount;
    await vi.waitFor(() => expect(simulator.callCount).toBeGreaterThan(before + callsBetweenKills), within);
    await kill();
    await startService();
  }
  const done = await vi.waitFor(
    async () => {
      const batch = await client.batches.retrieve(id);
      expect(batch.status).toBe("completed");
      return batch;
    },
    { ...within, interval: 200 },
  );

  const output = await linesOf(done.output_file_id);
  const errors = await linesOf(done.error_file_id);
  const numbers = (all: { custom_id: string }[]) => all.map((line) => Number(line.custom_id.slice("line ".length)));
  for (const file of [output, errors]) expect(numbers(file)).toEqual(numbers(file).toSorted((a, b) => a - b));
  expect([...numbers(output), ...numbers(errors)].toSorted((a, b) => a - b)).toEqual(ids.map((_, i) => i));
  // Only what was killed in its middle three times has failed.
  for (const { response } of errors) expect(response.body.error.code).toBe("tries_exhausted");
  expect(done.request_counts).toEqual({ total: lines, completed: output.length, failed: errors.length });
  // Every line that has an answer was called, and only those again that a kill cut off.
  const kills = 3 + killsWhileRunning;
  expect(simulator.callCount).toBeGreaterThanOrEqual(output.length);
  expect(simulator.callCount).toBeLessThanOrEqual(output.length + kills * callsAtOnce);
  const times = new Map<string, number>();
  for (const { prompt } of simulator.calls) times.set(prompt, (times.get(prompt) ?? 0) + 1);
  expect([...times.values()].filter((n) => n > 1).length).toBeLessThanOrEqual(kills * callsAtOnce);
  // The input and the results.
  const kept = errors.length > 0 ? 3 : 2;
  await vi.waitFor(async () => expect(await readdir(join(folder, "data", "files"))).toHaveLength(kept), within);
  await kill();
  expect(peakMb).toBeLessThan(mostMemoryMb);
}, 500_000);

async function startService(): Promise<void> {
  const env = { ...process.env, PORT: "0", SLUICE_LOG_LEVEL: "warn" };
  ({ child, url } = await startSluice(["serve"], { cwd: folder, env }));
  client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
}

async function kill(): Promise<void> {
  const status = await readFile(`/proc/${child!.pid}/status`, "utf8").catch(() => "");
  peakMb = Math.max(peakMb, Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) / 1024);
  const gone = once(child!, "exit");
  child!.kill("SIGKILL");
  await gone;
}

/** Sends half of the form, and resolves when some of the file is on disk. */
async function uploadHalf(content: Buffer): Promise<void> {
  const form = request(`${url}/v1/files`, {
    method: "POST",
    headers: { "content-type": "multipart/form-data; boundary=b" },
  });
  form.on("error", () => {});
  form.write('--b\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n');
  form.write(content.subarray(0, content.length / 2));
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
