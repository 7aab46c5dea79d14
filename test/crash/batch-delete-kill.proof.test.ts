// kill -9 in the middle of deleting a batch. The service is the real one, in a process of its own; the next process goes on.
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI, { toFile } from "openai";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { stringify } from "yaml";
import { type Simulator, startSimulator } from "../../src/simulator/simulator.ts";
import { startSluice } from "../support/sluice-process.ts";

const lines = 5_000;
const endpoint = "/v1/chat/completions";
const within = { timeout: 200_000, interval: 5 };

let folder: string;
let simulator: Simulator;
let child: ChildProcess | undefined;
let url: string;
let client: OpenAI;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-delete-kill-"));
  simulator = await startSimulator({ latencyMs: [0, 0], models: { llama: {} } });
  await mkdir(join(folder, "data"));
  const deployment = {
    provider: "openai",
    baseUrl: `${simulator.url}/v1`,
    modelId: "llama",
    maxConcurrency: 60,
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

test("F3: a batch whose deletion is cut off is deleted by the next process; what it used stays counted", async () => {
  await startService();
  const line = (custom_id: string) =>
    JSON.stringify({
      custom_id,
      method: "POST",
      url: endpoint,
      body: { model: "llama", messages: [{ role: "user", content: custom_id }] },
    });
  const content = Buffer.from(Array.from({ length: lines }, (_, i) => line(`line ${i}`)).join("\n"));
  const file = await client.files.create({ file: await toFile(content, "in.jsonl"), purpose: "batch" });
  const { id } = await client.batches.create({ input_file_id: file.id, endpoint, completion_window: "24h" });
  await vi.waitFor(async () => expect((await client.batches.retrieve(id)).status).toBe("completed"), {
    ...within,
    interval: 200,
  });
  const before = await usage();
  expect(before).toMatchObject([{ jobs: lines }]);

  const deleted = fetch(`${url}/v1/batches/${id}`, { method: "DELETE" });
  deleted.catch(() => {});
  await vi.waitFor(async () => expect(await jobCount()).toBeLessThan(lines), within);
  await kill();
  await startService();
  expect(await jobCount()).toBeGreaterThan(0);
  await expect(client.batches.retrieve(id)).rejects.toThrow(OpenAI.NotFoundError);
  await vi.waitFor(async () => expect(await jobCount()).toBe(0), within);
  await vi.waitFor(async () => expect(await readdir(join(folder, "data", "files"))).toEqual([]), within);
  expect(await usage()).toEqual(before);
}, 400_000);

async function startService(): Promise<void> {
  const env = { ...process.env, PORT: "0", SLUICE_LOG_LEVEL: "warn" };
  ({ child, url } = await startSluice(["serve"], { cwd: folder, env }));
  client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
}

async function kill(): Promise<void> {
  const gone = once(child!, "exit");
  child!.kill("SIGKILL");
  await gone;
}

async function usage(): Promise<unknown> {
  const day = new Date().toISOString().slice(0, 10);
  return ((await (await fetch(`${url}/v1/usage?from=${day}&to=${day}`)).json()) as { data: unknown }).data;
}

async function jobCount(): Promise<number> {
  const response = await fetch(`${url}/v1/stats`);
  const numbers = [...(await response.text()).matchAll(/"(?:queued|in_progress|completed)":(\d+)/g)];
  return numbers.reduce((sum, [, n]) => sum + Number(n), 0);
}
