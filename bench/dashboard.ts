// What the dashboard calls, and when its page appears: a real service, and a real browser on the same machine. The embedded
// form has a million stored jobs (DASHBOARD_JOBS), the distributed form 10,000 (DASHBOARD_DISTRIBUTED_JOBS).
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { type Browser, chromium } from "playwright-core";
import { defaultEnvironments } from "../src/config/defaults.ts";
import { startSimulator } from "../src/simulator/simulator.ts";
import type { JobStore } from "../src/store/job-store.ts";
import { openMongoStore } from "../src/store/mongo/mongo-store.ts";
import { openSqliteStore } from "../src/store/sqlite/sqlite-store.ts";
import { findChromium } from "../test/support/find-chromium.ts";
import { findMongo, findRedis } from "../test/support/find-servers.ts";
import { launchMongo, launchRedis } from "../test/support/servers.ts";
import { startSluice } from "../test/support/sluice-process.ts";
import { makeJobs } from "./support/embedded.ts";
import { type Figure, printFigures, quantile, spreadOf } from "./support/measure.ts";

const embeddedJobs = Number(process.env.DASHBOARD_JOBS ?? 1_000_000);
const distributedJobs = Number(process.env.DASHBOARD_DISTRIBUTED_JOBS ?? 10_000);
/** How the store is filled: the share of jobs that have ended, and how many are written at a time. The others wait. */
const embeddedFill = { endedShare: 0.9, atOnce: 1_000 };
/** The stand-in for MongoDB takes long to end a job. */
const distributedFill = { endedShare: 0.1, atOnce: 20 };
const credentials = { AWS_ACCESS_KEY_ID: "bench", AWS_SECRET_ACCESS_KEY: "bench" };
const calls = 200;
const rounds = 3;
const paints = 7;
const callGoal = "p99 < 50 ms";
const paintGoal = "< 500 ms";
const main = resolve("dist/cli/main.js");

export async function benchDashboard(): Promise<Figure[]> {
  await promisify(execFile)("npm", ["run", "--silent", "build"]);
  const figures: Figure[] = [];
  for (const form of [embedded, distributed]) {
    const measured = await form();
    // At once, so that a failure of the next form does not lose them.
    printFigures(measured);
    figures.push(...measured);
  }
  return figures;
}

async function embedded(): Promise<Figure[]> {
  return withFolder(async (folder) => {
    const store = await openSqliteStore({ dataDir: join(folder, "data"), environments: defaultEnvironments });
    const some = await fill(store, embeddedJobs, embeddedFill);
    return measure(folder, some, {}, embeddedJobs);
  });
}

async function distributed(): Promise<Figure[]> {
  const mongoLaunch = await findMongo();
  const [redis, mongo] = await Promise.all([launchRedis(await findRedis()), launchMongo(mongoLaunch)]);
  try {
    const store = await openMongoStore({ url: mongo.url, environments: defaultEnvironments });
    const some = await fill(store, distributedJobs, distributedFill);
    const env = { MONGODB_URL: mongo.url, REDIS_URL: redis.url };
    return await withFolder((folder) => measure(folder, some, env, distributedJobs, ` (Redis, ${mongoLaunch.name})`));
  } finally {
    await Promise.all([redis.close(), mongo.close()]);
  }
}

async function withFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-bench-"));
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Starts the service in a folder and measures it. @param ended id of a job that has ended */
async function measure(
  folder: string,
  ended: string,
  backends: NodeJS.ProcessEnv,
  jobs: number,
  where = "",
): Promise<Figure[]> {
  const simulator = await startSimulator();
  await writeFile(
    join(folder, "sluice.yaml"),
    JSON.stringify({
      models: {
        llama: {
          deployments: [
            {
              region: "us-east-1",
              modelId: "us.meta.llama3-3-70b-instruct-v1:0",
              endpoint: simulator.url,
              quotas: [{ unit: "requests", per: "minute", limit: 3 }],
            },
          ],
        },
      },
      defaultModel: "llama",
    }),
  );
  const env = { ...process.env, ...backends, ...credentials, SLUICE_LOG_LEVEL: "error" };
  const { child, url } = await startSluice(["serve", "--port", "0"], { cwd: folder, env }, main);
  try {
    const figures = [...(await measureCalls(url, ended)), ...(await measurePaints(url, ended))];
    return figures.map((figure) => ({ ...figure, what: `${jobs.toLocaleString("en")} jobs${where}: ${figure.what}` }));
  } finally {
    child.kill("SIGKILL");
    await simulator.stop();
  }
}

/** Stores jobs and closes the store. Returns the id of one that has ended. */
async function fill(store: JobStore, jobs: number, { endedShare, atOnce }: typeof embeddedFill): Promise<string> {
  const start = Date.now() - jobs - 60_000;
  let ended = "";
  for (let made = 0; made < jobs; made += atOnce) {
    const some = makeJobs(atOnce).map((job, i) => ({
      ...job,
      submittedAt: start + made + i,
      tenant: `tenant-${(made + i) % 100}`,
      metadata: { run: String((made + i) % 1000) },
    }));
    await store.insertMany(some);
    if (made >= jobs * endedShare) continue;
    ended = some[0]!.id;
    await Promise.all(
      some.map(({ id, submittedAt }, i) => {
        const error = { code: "provider_rejected", message: "No." };
        const end =
          i % 50 === 0 ? { status: "failed" as const, error } : { status: "completed" as const, text: "Yes." };
        return store.finishIdle("UAT", { jobId: id, at: submittedAt + 10, ...end });
      }),
    );
  }
  await store.close();
  return ended;
}

async function measureCalls(url: string, ended: string): Promise<Figure[]> {
  const first = (await (await fetch(`${url}/ui/api/v1/jobs?limit=50`)).json()) as { next_cursor?: string };
  const paths: Record<string, string> = {
    "Overview: counts and queue": "v1/stats",
    "Overview, Deployments: deployments and quotas": "v1/deployments",
    "Overview: the last hour": "v1/history?resolution=minute",
    "Overview, Usage: usage by day": "v1/usage?group_by=day",
    "Jobs: first page": "v1/jobs?limit=50",
    ...(first.next_cursor && {
      "Jobs: next page": `v1/jobs?limit=50&cursor=${encodeURIComponent(first.next_cursor)}`,
    }),
    "Jobs: by state": "v1/jobs?limit=50&status=failed",
    "Jobs: by tenant": "v1/jobs?limit=50&tenant=tenant-7",
    "Jobs: by label": "v1/jobs?limit=50&metadata%5Brun%5D=7",
    "Jobs: by error code": "v1/jobs?limit=50&error=provider_rejected",
    "Job: the job": `v1/jobs/${ended}`,
    "Job: its prompt": `v1/jobs/${ended}/request`,
    "Batches: list": "v1/batches?limit=50",
    "Deployments: advice": "v1/quotas/advice",
    "Keys: list": "v1/keys?limit=50",
    "Webhooks: list": "v1/webhooks/deliveries?limit=50",
    "Audit: list": "v1/audit?limit=50",
  };
  const figures: Figure[] = [];
  for (const [what, path] of Object.entries(paths)) {
    const p99s: number[] = [];
    let failed = 0;
    for (let round = 0; round < rounds; round++) {
      const times: number[] = [];
      for (let i = 0; i < calls; i++) {
        const time = await timeOf(`${url}/ui/api/${path}`);
        if (time === undefined) failed++;
        else times.push(time);
      }
      times.sort((a, b) => a - b);
      if (times.length > 0) p99s.push(quantile(times, 0.99));
    }
    figures.push(...figuresOf(`${what}, p99 of ${calls} calls`, p99s, callGoal, failed, rounds * calls));
  }
  return figures;
}

/** Returns the times, if there are any, and the number of failures, if there are any. */
function figuresOf(what: string, times: readonly number[], goal: string, failed: number, all: number): Figure[] {
  return [
    ...(times.length > 0 ? [{ what, unit: "ms", ours: spreadOf(times), goal }] : []),
    ...(failed > 0
      ? [{ what: `${what}: failed of ${all}`, unit: "failures", ours: spreadOf([failed]), goal: "0" }]
      : []),
  ];
}

/** Returns the time of a call in milliseconds, or undefined if the call failed. */
async function timeOf(url: string): Promise<number | undefined> {
  const startedAt = performance.now();
  try {
    const response = await fetch(url);
    await response.arrayBuffer();
    return response.ok ? performance.now() - startedAt : undefined;
  } catch {
    return undefined;
  }
}

/** Measures the time until the browser paints something for the first time, with an empty cache each time. */
async function measurePaints(url: string, ended: string): Promise<Figure[]> {
  const browser = await chromium.launch({ executablePath: await findChromium(), args: ["--no-sandbox"] });
  try {
    const figures: Figure[] = [];
    for (const [name, path] of Object.entries({ Overview: "", Jobs: "jobs", Job: `jobs/${ended}`, Usage: "usage" })) {
      const times: number[] = [];
      for (let i = 0; i < paints; i++) {
        const time = await paintOf(browser, `${url}/ui/${path}`);
        if (time !== undefined) times.push(time);
      }
      figures.push(...figuresOf(`${name}: first contentful paint`, times, paintGoal, paints - times.length, paints));
    }
    return figures;
  } finally {
    await browser.close();
  }
}

/** Returns the time of the first paint in milliseconds, or undefined if the page did not appear. */
async function paintOf(browser: Browser, url: string): Promise<number | undefined> {
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    await page.goto(url);
    await page.locator("h1").first().waitFor({ state: "attached" });
    const entry = `performance.getEntriesByName("first-contentful-paint")[0]?.startTime`;
    let paintedAt: unknown;
    while (paintedAt === undefined) paintedAt = await page.evaluate(entry);
    return Number(paintedAt);
  } catch (error) {
    console.error(`${url}: ${error}`);
    return undefined;
  } finally {
    await context.close();
  }
}
