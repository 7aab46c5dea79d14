// kill -9 between the calls of jobs that embed long lists: no text is embedded again once its vector is stored, and every
// job ends with all vectors in order. The simulator is in this process, so its journal outlives every kill.
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { stringify } from "yaml";
import { joinedParts } from "../../src/jobs/vector-parts.ts";
import { randomNumbers } from "../../src/simulator/random.ts";
import { type Simulator, startSimulator } from "../../src/simulator/simulator.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { clientOf } from "../http/openai/client.ts";
import { testSeed } from "../support/seed.ts";
import { startSluice } from "../support/sluice-process.ts";

const random = randomNumbers(`embeddings ${testSeed}`);
const kills = 3;
const textsPerJob = 25;
const environments = { UAT: { database: "SSP-dev", weight: 1 }, PROD: { database: "SSP-prod", weight: 4 } };

let folder: string;
let simulator: Simulator;
let child: ChildProcess | undefined;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-embeddings-"));
  simulator = await startSimulator({ latencyMs: [5, 30], journalSize: 100_000, seed: testSeed });
  await mkdir(join(folder, "data"));
  const quotas = [{ unit: "requests", per: "minute", limit: 100_000 }];
  const where = { region: "us-east-1", modelId: "amazon.titan-embed-text-v2:0", endpoint: simulator.url };
  const models = { titan: { deployments: [{ ...where, quotas }] } };
  await writeFile(join(folder, "sluice.yaml"), stringify({ environments, models, defaultModel: "titan" }));
});

afterAll(async () => {
  child?.kill("SIGKILL");
  await simulator?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function start(): Promise<string> {
  const credentials = { AWS_ACCESS_KEY_ID: "test", AWS_SECRET_ACCESS_KEY: "test" };
  const env = { ...process.env, PORT: "0", SLUICE_LOG_LEVEL: "warn", ...credentials };
  const started = await startSluice(["serve"], { cwd: folder, env });
  child = started.child;
  return started.url;
}

async function kill(): Promise<void> {
  const exited = once(child!, "exit");
  child!.kill("SIGKILL");
  await exited;
}

/** Texts of the answered calls of a job, by the simulator's journal. */
const answered = (job: number) =>
  simulator.calls.filter(({ prompt, outcome }) => prompt.startsWith(`job ${job} `) && outcome === "answered");

test(`kill -9 at ${kills} random points (TEST_SEED=${testSeed})`, { timeout: 60_000 }, async () => {
  const jobs = [0, 1, 2];
  const textsOf = (job: number) => Array.from({ length: textsPerJob }, (_, i) => `job ${job} text ${i}`);
  const headers = { "x-sluice-environment": "UAT", "x-sluice-keep": "true" };
  const send = (url: string, job: number) =>
    clientOf(url).embeddings.create(
      { model: "titan", input: textsOf(job), dimensions: 256, encoding_format: "float" },
      { headers: { ...headers, "idempotency-key": `job-${job}` } },
    );

  let url = await start();
  for (let round = 0; round < kills; round++) {
    // The callers lose their connection with the process. The jobs stay.
    const calls = jobs.map((job) => send(url, job).catch(() => {}));
    const until = simulator.callCount + 5 + Math.floor(random() * 10);
    while (simulator.callCount < until) await new Promise((resolve) => setTimeout(resolve, 1));
    await kill();
    await Promise.all(calls);
    url = await start();
  }

  const answers = await Promise.all(jobs.map((job) => send(url, job)));
  for (const [job, { data, usage }] of answers.entries()) {
    expect(data.map(({ index }) => index)).toEqual(textsOf(job).map((_, i) => i));
    const again = await clientOf(url).embeddings.create(
      { model: "titan", input: textsOf(job)[7]!, dimensions: 256, encoding_format: "float" },
      { headers },
    );
    expect(data[7]!.embedding).toEqual(again.data[0]!.embedding);
    expect(usage.prompt_tokens).toBe(textsPerJob * 4);
  }
  await kill();

  const store = await openSqliteStore({ dataDir: join(folder, "data"), environments });
  const { items } = await store.list({ environment: "UAT", limit: 100 });
  const lists = items.filter(({ job }) => job.totalTokens);
  expect(lists).toHaveLength(jobs.length);
  for (const { job } of lists) {
    const { attempts } = (await store.get(job.id))!;
    const completed = attempts.filter(({ end }) => end?.result === "completed");
    const lost = attempts.filter(({ end }) => end === undefined || end.result === "unknown");
    // A text is embedded again only if the process died before it could store the vector.
    expect(completed.length + lost.length).toBeGreaterThanOrEqual(textsPerJob);
    expect(lost.length).toBeLessThanOrEqual(kills);
    expect(completed.map(({ end }) => end!.embedded ?? textsPerJob)).toEqual(
      [...completed.map(({ end }) => end!.embedded ?? textsPerJob)].sort((a, b) => a - b),
    );
    expect((await joinedParts({ store }, job)).vectors).toEqual([]);
  }
  for (const job of jobs) {
    // The seventh text was asked for once more on purpose.
    expect(answered(job).length).toBeLessThanOrEqual(textsPerJob + kills + 1);
    expect(new Set(answered(job).map(({ prompt }) => prompt)).size).toBe(textsPerJob);
  }
  await store.close();
});
