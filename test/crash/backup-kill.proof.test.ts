// Backups of a service under load: jobs of both environments with idempotency keys, files that come and go, a batch.
// One backup is killed, and one continues while the service is killed. The service is the real one, in a process of its
// own, and calls a simulator in this one. What must hold for every complete backup, restored into a new folder:
// - everything that was accepted before the backup began is in it, and no file record lacks its bytes
// - a service that starts from it ends all jobs, and calls none again whose answer is in it
// - an idempotency key from before still finds its job

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import OpenAI, { toFile } from "openai";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { stringify } from "yaml";
import { loadSettings } from "../../src/config/load.ts";
import { canonicalPart } from "../../src/domain/request.ts";
import { allFiles } from "../../src/jobs/files/files.ts";
import { randomNumbers } from "../../src/simulator/random.ts";
import { type Simulator, startSimulator } from "../../src/simulator/simulator.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { testSeed } from "../support/seed.ts";
import { sluiceMain, startSluice } from "../support/sluice-process.ts";

const random = randomNumbers(String(testSeed));
const environments = { UAT: { database: "SSP-dev", weight: 1 }, PROD: { database: "SSP-prod", weight: 4 } };
const batchLines = 300;
const within = { timeout: 120_000, interval: 5 };

let root: string;
let simulator: Simulator;
let child: ChildProcess | undefined;
let url: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "sluice-backup-kill-"));
  simulator = await startSimulator({ latencyMs: [5, 40], journalSize: 100_000, models: { llama: {} }, seed: testSeed });
  const deployment = {
    provider: "openai",
    baseUrl: `${simulator.url}/v1`,
    modelId: "llama",
    maxConcurrency: 6,
    quotas: [{ unit: "requests", per: "minute", limit: 10_000_000, burst: 10_000_000 }],
  };
  const models = { llama: { contextTokens: 8192, maxOutputTokens: 5, deployments: [deployment] } };
  await writeFile(join(root, "sluice.yaml"), stringify({ environments, models }));
});

afterAll(async () => {
  child?.kill("SIGKILL");
  await simulator?.stop();
  await rm(root, { recursive: true, force: true });
});

/** What was accepted, by prompt. A prompt is its idempotency key as well. */
const jobs = new Map<string, { jobId: string; environment: string }>();
const files = new Map<string, string>();
let isLoading = true;

test("backups under load and kills are complete, and a service continues from them", { timeout: 240_000 }, async () => {
  await startService("data");
  const batch = await startBatch();
  const load = Promise.all([submit("a"), submit("b"), comeAndGo()]);

  const complete: { folder: string; jobIds: string[]; fileIds: string[] }[] = [];
  for (const [i, victim] of [undefined, "backup", "service", undefined].entries()) {
    await vi.waitFor(() => expect(jobs.size).toBeGreaterThan(40 * (i + 1)), within);
    const folder = join(root, `backup-${i}`);
    const accepted = { jobIds: [...jobs.values()].map(({ jobId }) => jobId), fileIds: [...files.keys()] };
    const backup = sluice("backup", folder, "--data-dir", join(root, "data"));
    // A backup writes this file first.
    const hasBegun = () => ["manifest.json.part", "manifest.json"].some((name) => existsSync(join(folder, name)));
    if (victim) await vi.waitFor(() => expect(hasBegun()).toBe(true), within);
    if (victim === "backup") {
      await new Promise((done) => setTimeout(done, random() * 100));
      backup.child.kill("SIGKILL");
    }
    if (victim === "service") {
      await stopService("SIGKILL");
      await startService("data");
    }
    const { code, stderr } = await backup.ended;
    if (victim !== "backup") expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    if (existsSync(join(folder, "manifest.json"))) complete.push({ folder, ...accepted });
    else {
      const refused = await sluice("restore", "--check", folder).ended;
      expect(refused.code).toBe(1);
      expect(refused.stderr).toContain("is not a complete backup");
      expect((await sluice("backup", folder, "--data-dir", join(root, "data")).ended).stderr).toContain("is not empty");
    }
  }
  isLoading = false;
  await load;
  expect(complete.length).toBeGreaterThanOrEqual(3);
  await stopService("SIGKILL");

  let answered = new Map<string, number>();
  for (const [i, { folder, jobIds, fileIds }] of complete.entries()) {
    const { code, stderr } = await sluice("restore", folder, "--data-dir", join(root, `restored-${i}`)).ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    answered = await examine(join(root, `restored-${i}`), jobIds, fileIds);
  }
  // The backup has caught jobs with an answer and jobs without one.
  expect(answered.size).toBeGreaterThan(0);

  const last = complete.at(-1)!;
  await startService(`restored-${complete.length - 1}`);
  await vi.waitFor(async () => {
    const stats = await (await fetch(`${url}/v1/stats`)).text();
    expect(stats).not.toMatch(/"(queued|in_progress)":[1-9]/);
  }, within);
  for (const [prompt, calls] of answered) expect(callsFor(prompt), prompt).toBe(calls);
  for (const [prompt, { jobId, environment }] of jobs) {
    if (!last.jobIds.includes(jobId)) continue;
    expect(await enqueue(prompt, environment)).toBe(jobId);
    expect(await (await fetch(`${url}/v1/jobs/${jobId}`)).json()).toMatchObject({ status: "completed" });
  }
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
  await vi.waitFor(async () => expect((await client.batches.retrieve(batch)).status).toBe("completed"), within);
  const { output_file_id: output } = await client.batches.retrieve(batch);
  const results = await (await client.files.content(output!)).text();
  expect(results.trimEnd().split("\n")).toHaveLength(batchLines);
});

/**
 * Checks a restored folder, and returns the number of calls so far for each prompt whose outcome is in it.
 */
async function examine(dataDir: string, jobIds: string[], fileIds: string[]): Promise<Map<string, number>> {
  const store = await openSqliteStore({ dataDir, environments });
  try {
    const answered = new Map<string, number>();
    for (const jobId of jobIds) {
      const record = await store.get(jobId);
      expect(record, "a job that was accepted before the backup").toBeDefined();
      const [block] = canonicalPart(record!.job.request).messages[0]!.content;
      if (record!.outcome && block?.type === "text") answered.set(block.text, callsFor(block.text));
    }
    const settings = await loadSettings({ env: {}, cwd: root, args: { dataDir }, role: "none" });
    const found = new Set<string>();
    for await (const file of allFiles({ store, settings })) {
      found.add(file.id);
      let size = 0;
      for await (const piece of (await store.blobs.read(file.environment, file.blob))!) size += piece.length;
      expect(size).toBe(file.bytes);
    }
    for (const id of fileIds) expect(found.has(id), "a file that was accepted before the backup").toBe(true);
    return answered;
  } finally {
    await store.close();
  }
}

async function submit(name: string): Promise<void> {
  for (let n = 0; isLoading; n++) {
    const prompt = `prompt ${name}${n}`;
    const environment = n % 2 === 0 ? "UAT" : "PROD";
    const jobId = await enqueue(prompt, environment);
    if (jobId) jobs.set(prompt, { jobId, environment });
    // About as fast as jobs run, so that there are some of every state.
    await new Promise((done) => setTimeout(done, 15));
  }
}

async function enqueue(prompt: string, environment: string): Promise<string | undefined> {
  const response = await fetch(`${url}/enqueue`, {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": prompt },
    body: JSON.stringify({ prompt, environment }),
  }).catch(() => undefined);
  const answer = await response?.text().catch(() => undefined);
  return answer === undefined ? undefined : JSON.parse(answer).job_id;
}

/** Uploads files, and deletes every second one soon. */
async function comeAndGo(): Promise<void> {
  for (let n = 0; isLoading; n++) {
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
    const content = Buffer.from(`${"x".repeat(20_000)}\n`);
    const file = await client.files
      .create({ file: await toFile(content, "in.jsonl"), purpose: "batch" })
      .catch(() => {});
    if (!file) continue;
    if (n % 2 === 0) files.set(file.id, file.filename);
    else await client.files.delete(file.id).catch(() => {});
  }
}

async function startBatch(): Promise<string> {
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
  const lines = Array.from({ length: batchLines }, (_, i) =>
    JSON.stringify({
      custom_id: `line ${i}`,
      method: "POST",
      url: "/v1/chat/completions",
      body: { model: "llama", messages: [{ role: "user", content: `line ${i}` }] },
    }),
  );
  const file = await client.files.create({
    file: await toFile(Buffer.from(lines.join("\n")), "a.jsonl"),
    purpose: "batch",
  });
  const parameters = { endpoint: "/v1/chat/completions", completion_window: "24h" } as const;
  return (await client.batches.create({ input_file_id: file.id, ...parameters })).id;
}

function callsFor(prompt: string): number {
  return simulator.calls.filter((call) => call.prompt === prompt).length;
}

async function startService(dataDir: string): Promise<void> {
  const env = { ...process.env, PORT: "0", SLUICE_LOG_LEVEL: "warn" };
  ({ child, url } = await startSluice(["serve", "--data-dir", join(root, dataDir)], { cwd: root, env }));
}

async function stopService(signal: NodeJS.Signals): Promise<void> {
  const gone = once(child!, "exit");
  child!.kill(signal);
  await gone;
}

function sluice(...args: string[]) {
  const command = spawn(process.execPath, [sluiceMain, ...args], { cwd: root, stdio: ["ignore", "ignore", "pipe"] });
  const ended = Promise.all([text(command.stderr), once(command, "exit")]).then(([stderr, [code]]) => ({
    code: code as number | null,
    stderr,
  }));
  return { child: command, ended };
}
