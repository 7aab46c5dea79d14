// The distributed form as an operator runs it: API and worker processes of their own, a Redis and a server that speaks
// MongoDB's protocol behind proxies that can fail, and simulators in this process, whose journals outlive every kill.

import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { stringify } from "yaml";
import type { JobRecord } from "../../src/domain/job.ts";
import { canonicalPart } from "../../src/domain/request.ts";
import type { RecordedCall } from "../../src/simulator/journal.ts";
import { type Simulator, startSimulator } from "../../src/simulator/simulator.ts";
import type { JobStore } from "../../src/store/job-store.ts";
import { openMongoStore } from "../../src/store/mongo/mongo-store.ts";
import { type FaultProxy, startFaultProxy } from "../support/fault-proxy.ts";
import type { TestServer } from "../support/server-process.ts";
import { startMongo, startRedis } from "../support/servers.ts";
import { type SluiceProcess, startSluice } from "../support/sluice-process.ts";

const environments = { UAT: { database: "SSP-dev", weight: 1 }, PROD: { database: "SSP-prod", weight: 4 } };

/** How long a lease lasts here. */
export const leaseMs = 3_000;
/** Calls that the model `narrow` may be sent in any minute. */
export const narrowLimit = 25;

export class Cluster {
  readonly redis: TestServer;
  readonly redisProxy: FaultProxy;
  readonly mongo: TestServer;
  readonly mongoProxy: FaultProxy;
  readonly #simulators: Simulator[];
  /** With sluice.yaml in it. */
  readonly folder: string;
  readonly apis: SluiceProcess[] = [];
  readonly workers: SluiceProcess[] = [];
  /** Looks at the record past the proxy. */
  readonly store: JobStore;

  private constructor(parts: {
    redis: [TestServer, FaultProxy];
    mongo: [TestServer, FaultProxy];
    simulators: Simulator[];
    folder: string;
    store: JobStore;
  }) {
    [this.redis, this.redisProxy] = parts.redis;
    [this.mongo, this.mongoProxy] = parts.mongo;
    this.#simulators = parts.simulators;
    this.folder = parts.folder;
    this.store = parts.store;
  }

  /** Servers and simulators; no process of ours yet. The data of Redis outlives its restart only by `SAVE`. */
  static async start(): Promise<Cluster> {
    const folder = await mkdtemp(join(tmpdir(), "sluice-cluster-"));
    const [redis, mongo, quick, slow, talking] = await Promise.all([
      startRedis(["--dbfilename", "dump.rdb"]),
      startMongo(),
      startSimulator({ latencyMs: [20, 120], journalSize: 100_000 }),
      startSimulator({ latencyMs: [4_000, 5_000], journalSize: 100_000 }),
      startSimulator({ tokensPerSecond: 20, answerTokens: 100 }),
    ]);
    const deployment = (endpoint: string, modelId: string, requests: number) => ({
      deployments: [
        {
          region: "us-east-1",
          modelId,
          endpoint,
          maxConcurrency: 20,
          quotas: [{ unit: "requests", per: "minute", limit: requests }],
        },
      ],
    });
    await writeFile(
      join(folder, "sluice.yaml"),
      stringify({
        environments,
        defaultModel: "quick",
        scheduler: { leaseMs },
        limits: { callerGraceS: 20 },
        models: {
          quick: deployment(quick.url, "us.meta.llama3-3-70b-instruct-v1:0", 100_000),
          narrow: deployment(quick.url, "us.meta.llama3-1-70b-instruct-v1:0", narrowLimit),
          slow: deployment(slow.url, "us.meta.llama3-1-8b-instruct-v1:0", 100_000),
          talking: deployment(talking.url, "us.meta.llama4-scout-17b-instruct-v1:0", 100_000),
        },
      }),
    );
    const store = await openMongoStore({ url: mongo.url, environments });
    return new Cluster({
      redis: [redis, await startFaultProxy(redis.port)],
      mongo: [mongo, await startFaultProxy(mongo.port)],
      simulators: [quick, slow, talking],
      folder,
      store,
    });
  }

  async startApi(): Promise<SluiceProcess> {
    const api = await this.#start(["api", "--port", "0"]);
    this.apis.push(api);
    return api;
  }

  async startWorker(...options: string[]): Promise<SluiceProcess> {
    const worker = await this.#start(["worker", ...options]);
    this.workers.push(worker);
    return worker;
  }

  /** SIGKILL; resolves when it is gone. */
  async kill(service: SluiceProcess): Promise<void> {
    for (const list of [this.apis, this.workers]) {
      const at = list.indexOf(service);
      if (at >= 0) list.splice(at, 1);
    }
    const gone = once(service.child, "exit");
    service.child.kill("SIGKILL");
    await gone;
  }

  /** Of every process. */
  get env(): NodeJS.ProcessEnv {
    return {
      ...process.env,
      MONGODB_URL: this.mongoProxy.through(this.mongo.url),
      REDIS_URL: this.redisProxy.through(this.redis.url),
      SLUICE_LOG_LEVEL: "error",
      AWS_ACCESS_KEY_ID: "test",
      AWS_SECRET_ACCESS_KEY: "test",
    };
  }

  /** All calls of all models so far. */
  get calls(): readonly RecordedCall[] {
    return this.#simulators.flatMap((simulator) => simulator.calls);
  }

  /** Submits prompts, through all APIs in turn. Answers the ids of those that were accepted, by prompt. */
  async submit(prompts: readonly string[], model: string): Promise<Map<string, string>> {
    const accepted = new Map<string, string>();
    await Promise.all(
      prompts.map(async (prompt, i) => {
        const { url } = this.apis[i % this.apis.length]!;
        const environment = i % 2 === 0 ? "UAT" : "PROD";
        const body = JSON.stringify({ prompt, environment, model, max_tokens: 50 });
        const headers = { "content-type": "application/json" };
        const response = await fetch(`${url}/enqueue`, { method: "POST", headers, body });
        const answer = (await response.json()) as { job_id: string };
        expect(response.status, JSON.stringify(answer)).toBe(200);
        accepted.set(prompt, answer.job_id);
      }),
    );
    return accepted;
  }

  async records(accepted: Map<string, string>): Promise<JobRecord[]> {
    const records = await Promise.all([...accepted.values()].map((jobId) => this.store.get(jobId)));
    return records.filter((record) => record !== undefined);
  }

  /** Resolves when every one of these has ended. */
  async allEnded(accepted: Map<string, string>): Promise<JobRecord[]> {
    let records: JobRecord[] = [];
    await until(async () => {
      records = await this.records(accepted);
      return records.length === accepted.size && records.every((record) => record.outcome);
    });
    return records;
  }

  callsFor(prompt: string): readonly RecordedCall[] {
    return this.calls.filter((call) => call.prompt === prompt);
  }

  /** Of the model `narrow`: the most calls that arrived within any minute. */
  mostInAMinute(): number {
    const arrivals = this.calls
      .filter((call) => call.modelId.includes("llama3-1-70b"))
      .map((call) => call.arrivedAt)
      .sort((a, b) => a - b);
    return Math.max(0, ...arrivals.map((from) => arrivals.filter((at) => at >= from && at < from + 60_000).length));
  }

  async stop(): Promise<void> {
    for (const { child } of [...this.apis, ...this.workers]) child.kill("SIGKILL");
    await this.store.close();
    await Promise.all([this.redisProxy.close(), this.mongoProxy.close()]);
    await Promise.all([this.redis.close(), this.mongo.close(), ...this.#simulators.map((s) => s.stop())]);
    await rm(this.folder, { recursive: true, force: true });
  }

  #start(args: string[]): Promise<SluiceProcess> {
    return startSluice(args, { cwd: this.folder, env: this.env });
  }
}

/** Polls: what is waited for happens in another process. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(20);
}

/**
 * What holds after every fault: each job ended once, each call is on record as an attempt before it, and none was made
 * after an outcome was on record.
 */
export function expectOrder(cluster: Cluster, records: readonly JobRecord[]): void {
  for (const { job, attempts, outcome } of records) {
    const [block] = canonicalPart(job.request).messages[0]!.content;
    const prompt = block?.type === "text" ? block.text : "";
    const calls = cluster.callsFor(prompt);
    expect(outcome?.status, `${prompt}: ${JSON.stringify(outcome?.error)}`).toBe("completed");
    expect(attempts.filter((a) => a.n === outcome!.attempt).map((a) => a.end?.result)).toEqual(["completed"]);
    expect(calls.length, `${prompt}: more calls than attempts`).toBeLessThanOrEqual(attempts.length);
    expect(calls.length, `${prompt}: no call`).toBeGreaterThan(0);
    const late = calls.filter((call) => performance.timeOrigin + call.arrivedAt > outcome!.at + 5);
    expect(late, `${prompt}: called again after its outcome`).toEqual([]);
  }
  expect(cluster.calls.filter((call) => call.outcome === "throttled")).toEqual([]);
}
