// kill -9 at random points of a run of some hundred jobs. The service is the real one, in a process of its own, and
// calls a simulator in this one, whose journal outlives every kill. What must hold whatever the points are:
// - every job that was accepted ends, once, and its outcome never changes
// - no job with a stored outcome is called again
// - no call is made that is not on record as an attempt

import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { stringify } from "yaml";
import type { JobRecord, Outcome } from "../../src/domain/job.ts";
import { canonicalPart } from "../../src/domain/request.ts";
import { randomNumbers } from "../../src/simulator/random.ts";
import { type Simulator, startSimulator } from "../../src/simulator/simulator.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { testSeed } from "../support/seed.ts";
import { startSluice } from "../support/sluice-process.ts";

const seed = testSeed;
const random = randomNumbers(String(seed));
const kills = 6;
const jobsPerRound = 50;
const environments = { UAT: { database: "SSP-dev", weight: 1 }, PROD: { database: "SSP-prod", weight: 4 } };

let folder: string;
let simulator: Simulator;
let child: ChildProcess | undefined;
let serviceUrl: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-kill-"));
  simulator = await startSimulator({ latencyMs: [5, 60], journalSize: 100_000, seed });
  await mkdir(join(folder, "data"));
  await writeFile(
    join(folder, "sluice.yaml"),
    stringify({
      environments,
      models: {
        llama: {
          maxOutputTokens: 100,
          deployments: [
            {
              region: "us-east-1",
              modelId: "us.meta.llama3-3-70b-instruct-v1:0",
              endpoint: simulator.url,
              maxConcurrency: 12,
              quotas: [
                { unit: "requests", per: "minute", limit: 100_000 },
                { unit: "tokens", per: "minute", limit: 100_000_000, burst: 100_000_000 },
              ],
            },
          ],
        },
      },
    }),
  );
});

afterAll(async () => {
  child?.kill("SIGKILL");
  await simulator?.stop();
  await rm(folder, { recursive: true, force: true });
});

test(`kill -9 at ${kills} random points (TEST_SEED=${seed})`, { timeout: 180_000 }, async () => {
  /** By prompt, which names the job in the simulator's journal. */
  const accepted = new Map<string, string>();
  const endedBefore = new Map<string, { outcome: Outcome; calls: number }>();

  for (let round = 0; round <= kills; round++) {
    const url = await startService();
    const prompts = Array.from({ length: jobsPerRound }, (_, i) => `job ${round}.${i}`);
    const submitting = Promise.all(prompts.map((prompt) => enqueue(url, prompt, accepted)));
    if (round === kills) {
      await submitting;
      break;
    }
    // Somewhere in the round: often while jobs are still being submitted, always while calls are running.
    const calls = simulator.callCount + 1 + Math.floor(random() * 0.9 * jobsPerRound);
    await until(() => simulator.callCount >= calls);
    child!.kill("SIGKILL");
    await once(child!, "exit");
    await submitting;

    for (const record of await readRecords([...accepted.values()])) {
      const prompt = promptOf(record);
      if (!record.outcome) continue;
      const before = endedBefore.get(prompt);
      if (before) expect(record.outcome).toEqual(before.outcome);
      else endedBefore.set(prompt, { outcome: record.outcome, calls: callsFor(prompt) });
    }
  }

  const url = `${serviceUrl}/v1/stats`;
  await until(async () => {
    const response = await fetch(url);
    const text = await response.text();
    return !/"(queued|in_progress)":[1-9]/.test(text);
  });
  child!.kill("SIGTERM");
  expect(await once(child!, "exit")).toEqual([0, null]);

  const records = await readRecords([...accepted.values()]);
  expect(records).toHaveLength(accepted.size);
  // The kills have hit something: finished jobs, and calls in their middle.
  expect(endedBefore.size).toBeGreaterThan(0);
  expect(records.flatMap((r) => r.attempts).filter((a) => a.end === undefined).length).toBeGreaterThan(0);
  for (const record of records) {
    const prompt = promptOf(record);
    const { outcome, attempts } = record;
    expect(callsFor(prompt), `${prompt}: more calls than attempts`).toBeLessThanOrEqual(attempts.length);
    const before = endedBefore.get(prompt);
    if (before) expect({ outcome, calls: callsFor(prompt) }).toEqual(before);
    if (outcome?.status === "completed") {
      expect(attempts.filter((a) => a.end?.result === "completed")).toHaveLength(1);
    } else {
      // Killed in the middle of it three times: then it is taken for the cause.
      expect(outcome?.error?.code).toBe("tries_exhausted");
      expect(attempts.filter((a) => a.end === undefined)).toHaveLength(3);
    }
  }
});

async function startService(): Promise<string> {
  const credentials = { AWS_ACCESS_KEY_ID: "test", AWS_SECRET_ACCESS_KEY: "test" };
  const env = { ...process.env, PORT: "0", SLUICE_LOG_LEVEL: "warn", ...credentials };
  ({ child, url: serviceUrl } = await startSluice(["serve"], { cwd: folder, env }));
  return serviceUrl;
}

/** A submit that a kill cut off may or may not have been accepted; only an answer counts. */
async function enqueue(url: string, prompt: string, accepted: Map<string, string>): Promise<void> {
  const environment = random() < 0.5 ? "UAT" : "PROD";
  const response = await fetch(`${url}/enqueue`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ prompt, environment }),
  }).catch(() => undefined);
  if (response === undefined) return;
  const text = await response.text().catch(() => "");
  if (text === "") return;
  expect(response.status, text).toBe(200);
  accepted.set(prompt, JSON.parse(text).job_id);
}

async function readRecords(jobIds: string[]): Promise<JobRecord[]> {
  const store = await openSqliteStore({ dataDir: join(folder, "data"), environments });
  try {
    const records = await Promise.all(jobIds.map((jobId) => store.get(jobId)));
    return records.filter((record) => record !== undefined);
  } finally {
    await store.close();
  }
}

function promptOf({ job }: JobRecord): string {
  const [block] = canonicalPart(job.request).messages[0]!.content;
  return block?.type === "text" ? block.text : "";
}

function callsFor(prompt: string): number {
  return simulator.calls.filter((call) => call.prompt === prompt).length;
}

/** Polls: what is waited for happens in another process. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((done) => setTimeout(done, 2));
}
