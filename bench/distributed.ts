// Measures the distributed form: one API process, two workers, Redis and a server of MongoDB's protocol. The figures
// are submits, jobs end to end and lines of a batch, with the CPU time of each part for a job. The provider of the
// workers is in their process and answers at once. The baseline is BullMQ behind the same route, with two workers whose
// jobs do nothing: it stores no prompt, counts no quota and knows no tenants. support/mongo-server.ts chooses the
// server.
import { type ChildProcess, fork } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { MongoClient } from "mongodb";
import { findRedis } from "../test/support/find-servers.ts";
import type { TestServer } from "../test/support/server-process.ts";
import { launchRedis } from "../test/support/servers.ts";
import { batchForm, createBatch } from "./support/batch-upload.ts";
import { answerOf } from "./support/child-answer.ts";
import type { ProcessOptions, Started } from "./support/distributed-process.ts";
import { type Generator, withGenerator } from "./support/http-load.ts";
import { compare, type Figure, spreadOf } from "./support/measure.ts";
import { openMongo } from "./support/mongo-server.ts";

const repeats = 3;
const connections = 64;
const sizes = { jobs: 2_000, lines: 5_000, warmUp: 4_000, atGoal: 2_000, oneByOne: 900 };
/** The sizes with a server that reads whole collections for each operation. */
const fewer = { jobs: 200, lines: 200, warmUp: 200, atGoal: 200, oneByOne: 200 };
/** Rates of jobs that come one by one, evenly spaced: the goal, and a rate at which jobs are not grouped. */
const atGoalPerS = 1_000;
const oneByOnePerS = 300;
const body = JSON.stringify({ prompt: "Write one sentence about the sea, and one about rain.", environment: "UAT" });
const database = "SSP-dev";

export function benchDistributed(): Promise<Figure[]> {
  return withGenerator(measureGroups);
}

async function measureGroups(generate: Generator): Promise<Figure[]> {
  const [mongo, redis, otherRedis] = await Promise.all([openMongo(), startRedis(), startRedis()]);
  const { jobs, lines, warmUp, ...paced } = mongo.scans ? fewer : sizes;
  const addresses = { mongoUrl: mongo.url, redisUrl: redis.url };
  const ours = await startGroup({ what: "service", ...addresses });
  const bullmq = await startGroup({ what: "bullmq", ...addresses, redisUrl: otherRedis.url });
  const client = await new MongoClient(mongo.url).connect();
  const outcomes = client.db(database).collection("outcomes");
  const [admin, otherAdmin] = [new Redis(redis.url), new Redis(otherRedis.url)];
  const doneOurs = () => outcomes.estimatedDocumentCount();
  const doneTheirs = async () => Number(await otherAdmin.zcard("bull:bench:completed"));
  const submitAll = ({ url }: Group, done: () => Promise<number>, requests: number, perS?: number) => {
    const load = perS === undefined ? { connections, amount: requests } : { rate: perS, durationS: requests / perS };
    return timed(done, requests, () => generate({ url: `${url}/enqueue`, body, ...load }));
  };
  const sendBatch = (count: number) => {
    const form = batchForm(count);
    return timed(doneOurs, count, () => createBatch(ours.url, form));
  };
  const rounds: Round[] = [];
  try {
    await submitAll(ours, doneOurs, warmUp);
    await sendBatch(warmUp / 2);
    await submitAll(bullmq, doneTheirs, warmUp);
    for (let i = 0; i < repeats; i++) {
      const pids = { api: ours.pids.slice(0, 1), workers: ours.pids.slice(1), redis: [redis.pid], store: [mongo.pid] };
      const measure = (count: number, run: () => Promise<Rates>) => measured(pids, ours, admin, count, run);
      const online = await measure(jobs, () => submitAll(ours, doneOurs, jobs));
      const evenly = (requests: number, perS: number) =>
        measure(requests, () => submitAll(ours, doneOurs, requests, perS));
      const goal = await evenly(paced.atGoal, atGoalPerS);
      const few = await evenly(paced.oneByOne, oneByOnePerS);
      const batch = await measure(lines, () => sendBatch(lines));
      await otherAdmin.config("SET", "appendonly", "no");
      const theirs = await submitAll(bullmq, doneTheirs, jobs);
      await otherAdmin.config("SET", "appendonly", "yes", "appendfsync", "always");
      await sleep(500);
      const durable = await submitAll(bullmq, doneTheirs, jobs);
      rounds.push({ online, goal, few, batch, theirs, durable });
    }
  } finally {
    for (const { children } of [ours, bullmq]) for (const child of children) child.kill("SIGKILL");
    await client.close();
    admin.disconnect();
    otherAdmin.disconnect();
    await Promise.all([mongo.close(), redis.close(), otherRedis.close()]);
  }
  printCounts(rounds);
  const figures = figuresOf(rounds, mongo.name);
  return figures.filter(({ ours }) => !Number.isNaN(ours.median));
}

// -------------------------------------------------------------- servers

async function startRedis(): Promise<TestServer> {
  return launchRedis(await findRedis());
}

interface Group {
  children: ChildProcess[];
  /** Process ids, of the API first. */
  pids: number[];
  url: string;
  metricsUrls: string[];
}

async function startGroup(options: Omit<ProcessOptions, "role">): Promise<Group> {
  const children: ChildProcess[] = [];
  const started: Started[] = [];
  for (const role of ["api", "worker", "worker"] as const) {
    const file = new URL("./support/distributed-process.js", import.meta.url);
    const child = fork(file, [JSON.stringify({ ...options, role } satisfies ProcessOptions)]);
    children.push(child);
    started.push(await answerOf<Started>(child));
  }
  return {
    children,
    pids: children.map((child) => child.pid!),
    url: started[0]!.url!,
    metricsUrls: started.flatMap(({ metricsUrl }) => metricsUrl ?? []),
  };
}

// -------------------------------------------------------------- load

interface Rates {
  /** Jobs accepted per second, until all were accepted. */
  accepted: number;
  /** Jobs done per second, until all were done. */
  done: number;
}

async function timed(done: () => Promise<number>, count: number, send: () => Promise<unknown>): Promise<Rates> {
  const before = await done();
  const start = performance.now();
  await send();
  const accepted = (count * 1000) / (performance.now() - start);
  while ((await done()) < before + count) await sleep(10);
  return { accepted, done: (count * 1000) / (performance.now() - start) };
}

// -------------------------------------------------------------- CPU time and commands

const parts = ["api", "workers", "redis", "store"] as const;
type Part = (typeof parts)[number];

interface Measured extends Rates {
  /** CPU time for each job, in milliseconds. */
  cpuMs: Record<Part, number>;
  /** For each job: scripts and commands in Redis, and commands in the document database. */
  scripts: Counts;
  redis: Counts;
  store: Counts;
}
type Counts = Record<string, number>;

interface Round {
  online: Measured;
  goal: Measured;
  few: Measured;
  batch: Measured;
  theirs: Rates;
  durable: Rates;
}

async function measured(
  pids: Record<Part, readonly (number | undefined)[]>,
  group: Group,
  admin: Redis,
  count: number,
  run: () => Promise<Rates>,
): Promise<Measured> {
  const read = async () => ({
    cpu: Object.fromEntries(parts.map((part) => [part, cpuMsOf(pids[part])])) as Record<Part, number>,
    scripts: sum(await Promise.all(group.metricsUrls.map(scriptsOf))),
    redis: commandsOf(await admin.info("commandstats")),
    store: sum(await Promise.all(group.children.map(storeCommandsOf))),
  });
  const before = await read();
  const rates = await run();
  // Work after the outcome, such as settling, belongs to the job.
  await sleep(300);
  const after = await read();
  const each = (a: Counts, b: Counts) =>
    Object.fromEntries(Object.entries(a).map(([name, value]) => [name, (value - (b[name] ?? 0)) / count]));
  return {
    ...rates,
    cpuMs: each(after.cpu, before.cpu) as Record<Part, number>,
    scripts: each(after.scripts, before.scripts),
    redis: each(after.redis, before.redis),
    store: each(after.store, before.store),
  };
}

const tickMs = 10;

function cpuMsOf(pids: readonly (number | undefined)[]): number {
  return pids.reduce<number>((total, pid) => {
    if (pid === undefined) return Number.NaN;
    const [user, system] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ").slice(11, 13);
    return total + (Number(user) + Number(system)) * tickMs;
  }, 0);
}

async function scriptsOf(metricsUrl: string): Promise<Counts> {
  const text = await (await fetch(metricsUrl)).text();
  const found = text.matchAll(/^sluice_redis_seconds_count\{script="(\w+)"\} (\d+)/gm);
  return Object.fromEntries(Array.from(found, ([, script, count]) => [script!, Number(count)]));
}

function commandsOf(info: string): Counts {
  const found = info.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm);
  return Object.fromEntries(Array.from(found, ([, command, calls]) => [command!, Number(calls)]));
}

async function storeCommandsOf(child: ChildProcess): Promise<Counts> {
  const answer = answerOf<Counts>(child);
  child.send("commands");
  return answer;
}

function sum(all: readonly Counts[]): Counts {
  const total: Counts = {};
  for (const counts of all) {
    for (const [name, value] of Object.entries(counts)) total[name] = (total[name] ?? 0) + value;
  }
  return total;
}

// -------------------------------------------------------------- output

function printCounts(rounds: readonly Round[]): void {
  const last = rounds.at(-1)!;
  for (const [what, of] of [
    ["a job", last.online],
    [`a job at ${atGoalPerS} a second`, last.goal],
    [`a job at ${oneByOnePerS} a second`, last.few],
    ["a line of a batch", last.batch],
  ] as const) {
    for (const kind of ["scripts", "redis", "store"] as const) {
      const listed = Object.entries(of[kind])
        .filter(([, count]) => count >= 0.01)
        .sort((a, b) => b[1] - a[1])
        .map(([name, count]) => `${name} ${count.toFixed(2)}`);
      console.log(`  ${kind} for ${what}: ${listed.join(", ")}`);
    }
  }
}

const goals: Record<Part, string> = { api: "0.35", workers: "0.8", redis: "0.3", store: "" };
const loads = {
  online: "job, full load",
  goal: `job, ${atGoalPerS} a second`,
  few: `job, ${oneByOnePerS} a second`,
  batch: "line of a batch",
} as const;

function figuresOf(rounds: readonly Round[], server: string): Figure[] {
  const where = `distributed (Redis, ${server}), 1 API and 2 workers`;
  const compared = (what: string, of: (round: Round) => [number, number], theirs: string, goal?: string) =>
    compare(
      `${where}: ${what}`,
      "1/s",
      rounds.map(of).map(([ours, baseline]) => ({ ours, baseline })),
      theirs,
      goal,
    );
  const cpu = (load: keyof typeof loads, part: Part): Figure => ({
    what: `distributed: CPU of ${part} for each ${loads[load]}`,
    unit: "ms",
    ours: spreadOf(rounds.map((round) => round[load].cpuMs[part])),
    ...(goals[part] && { goal: `<= ${goals[part]}` }),
  });
  const acquires = (load: keyof typeof loads): Figure => ({
    what: `distributed: acquire calls for each ${loads[load]}`,
    unit: "calls",
    ours: spreadOf(rounds.map((round) => round[load].scripts.acquire ?? 0)),
  });
  const bullmq = "BullMQ, same route";
  return [
    compared("submits", (r) => [r.online.accepted, r.theirs.accepted], bullmq, ">= 1,500"),
    compared("jobs end to end", (r) => [r.online.done, r.theirs.done], bullmq, ">= 1,000"),
    compared("jobs end to end", (r) => [r.online.done, r.durable.done], `${bullmq}, appendfsync always`),
    {
      what: `${where}: lines of a batch`,
      unit: "1/s",
      ours: spreadOf(rounds.map((r) => r.batch.done)),
      goal: ">= 1,500",
    },
    ...parts.flatMap((part) => (["online", "goal", "few", "batch"] as const).map((load) => cpu(load, part))),
    ...(["online", "goal", "few"] as const).map(acquires),
  ];
}
