// A whole service with keys, embedded or distributed, in front of the real simulator, and its tenants.
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { vi } from "vitest";
import type { Settings } from "../../src/config/settings.ts";
import { startService } from "../../src/service/start-service.ts";
import { startSimulator } from "../../src/simulator/simulator.ts";
import { testSettings } from "../support/jobs-context.ts";
import { startMongo, startRedis } from "../support/servers.ts";

const endpoint = "/v1/chat/completions";
/** What a batch and many jobs ask, and what a chat asks. */
export const floodPrompt = "Hello.";
const chatPrompt = "Hello?";
const modelId = "us.meta.llama3-3-70b-instruct-v1:0";

interface JobResource {
  tenant: string;
  created_at: string;
  finished_at: string | null;
  attempts: { started_at: string }[];
}

export interface SharedService {
  tenant(name: string): Promise<Tenant>;
  /** Calls that the simulator refused by its quota. */
  throttled(): number;
  /** When each call with this prompt arrived at the simulator; milliseconds since the epoch, in order. */
  arrivals(prompt: string): number[];
  close(): Promise<void>;
}

/** @param jitterMs how much later than another call one may arrive, as the configuration declares it */
export async function startSharedService(
  form: "embedded" | "distributed",
  requestsPerMinute: number,
  jitterMs: number,
): Promise<SharedService> {
  const simulator = await startSimulator({
    models: { [modelId]: { requestsPerMinute } },
    latencyMs: [5, 20],
    answerTokens: 5,
    journalSize: 100_000,
  });
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-fairness-"));
  const suffix = randomUUID().slice(0, 8);
  // Of its own: with keys on record, services of other tests would ask for one.
  const servers = form === "distributed" ? await Promise.all([startMongo(), startRedis()]) : undefined;
  // A burst of one: after a pause of a busy machine, no calls make up for the slots that passed.
  const quotas = [{ unit: "requests", per: "minute", limit: requestsPerMinute, burst: 1 }] as const;
  // A call that was granted before a chat came may arrive after it. On a slow store, calls wait for their record: then as
  // many as run at a time could overtake the chat.
  const maxConcurrency = 2;
  const deployments = [{ region: "us-east-1", modelId, endpoint: simulator.url, maxConcurrency, quotas: [...quotas] }];
  const settings: Settings = {
    ...testSettings({
      environments: { UAT: { database: "fairness" } },
      models: { "llama3-3-70b": { maxOutputTokens: 16, deployments } },
      scheduler: { networkJitterMs: jitterMs },
    }),
    dataDir,
    port: 0,
    logLevel: "silent",
    ...(servers && { distributed: { mongoUrl: servers[0].url, redisUrl: servers[1].url } }),
  };
  process.env.AWS_ACCESS_KEY_ID = "test";
  process.env.AWS_SECRET_ACCESS_KEY = "test";
  const service = await startService(settings, { log: pino({ level: "silent" }) });
  const url = service.url!;
  const admin = await keyOf(url, undefined, { name: `admin-${suffix}`, admin: true });
  return {
    tenant: async (name) => new Tenant(url, await keyOf(url, admin, { name: `${name}-${suffix}` })),
    arrivals: (prompt) =>
      simulator.calls
        .filter((call) => call.prompt === prompt)
        .map((call) => performance.timeOrigin + call.arrivedAt)
        .sort((a, b) => a - b),
    throttled: () => simulator.calls.filter((call) => call.outcome === "throttled").length,
    async close() {
      await service.stop();
      await simulator.stop();
      await rm(dataDir, { recursive: true, force: true });
      for (const server of servers ?? []) await server.close();
    },
  };
}

async function keyOf(url: string, admin: string | undefined, body: object): Promise<string> {
  const response = await fetch(`${url}/v1/keys`, {
    method: "POST",
    headers: { "content-type": "application/json", ...(admin && { authorization: `Bearer ${admin}` }) },
    body: JSON.stringify(body),
  });
  const { key } = (await response.json()) as { key?: string };
  if (!key) throw new Error(`There is no key: ${response.status}`);
  return key;
}

export class Tenant {
  readonly #url: string;
  readonly #headers: Record<string, string>;
  readonly #batches: string[] = [];

  constructor(url: string, key: string) {
    this.#url = url;
    this.#headers = { authorization: `Bearer ${key}`, "x-sluice-environment": "UAT" };
  }

  /** A batch of so many lines; resolves when each of them has its job. */
  async submitBatch(lines: number): Promise<void> {
    const body = { model: "llama3-3-70b", messages: [{ role: "user", content: floodPrompt }] };
    const texts: string[] = [];
    for (let i = 0; i < lines; i++) {
      texts.push(JSON.stringify({ custom_id: `line-${i}`, method: "POST", url: endpoint, body }));
    }
    const form = new FormData();
    form.set("purpose", "batch");
    form.set("file", new Blob([texts.join("\n")]), "in.jsonl");
    const file = await this.#ask<{ id: string }>("/v1/files", { method: "POST", body: form });
    const create = { input_file_id: file.id, endpoint, completion_window: "24h" };
    const { id } = await this.#post<{ id: string }>("/v1/batches", create);
    this.#batches.push(id);
    await vi.waitFor(
      async () => {
        const jobs = Object.values(await this.#progress(id)).reduce((a, b) => a + b, 0);
        if (jobs < lines) throw new Error(`${jobs} of ${lines} lines have their job.`);
      },
      { timeout: 80_000, interval: 200 },
    );
  }

  /** One by one. */
  async submitJobs(count: number, priority: string): Promise<void> {
    await Promise.all(
      Array.from({ length: count }, () =>
        this.#post("/v1/jobs", { prompt: floodPrompt, environment: "UAT", priority }),
      ),
    );
  }

  /** Holds the line until it is answered. */
  async chat(): Promise<JobResource> {
    const body = { model: "llama3-3-70b", messages: [{ role: "user", content: chatPrompt }] };
    const response = await fetch(`${this.#url}${endpoint}`, {
      method: "POST",
      headers: { ...this.#headers, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    if (response.status !== 200) throw new Error(`A chat was refused: ${text}`);
    return this.#ask(`/v1/jobs/${response.headers.get("x-sluice-job-id")}`);
  }

  /** Lines of its batches that wait. */
  async waiting(): Promise<number> {
    const all = await Promise.all(this.#batches.map((id) => this.#progress(id)));
    return all.reduce((sum, { queued = 0 }) => sum + queued, 0);
  }

  /** When its jobs completed, of the latest 1,000 and more; milliseconds since the epoch. */
  async completed(): Promise<number[]> {
    const times: number[] = [];
    let cursor: string | null = null;
    do {
      const after: string = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
      const page: { data: JobResource[]; next_cursor: string | null } = await this.#ask(
        `/v1/jobs?status=completed&limit=1000${after}`,
      );
      times.push(...page.data.map((job) => Date.parse(job.finished_at!)));
      cursor = page.next_cursor;
    } while (cursor !== null);
    return times;
  }

  /** Its jobs of a priority that have not ended. */
  async cancelAll(priority: string): Promise<void> {
    await this.#post("/v1/jobs/cancel", { priority });
  }

  /** How many lines of a batch are in which state; none before its file is checked. */
  async #progress(id: string): Promise<Record<string, number>> {
    return (await this.#ask<{ progress: Record<string, number> | null }>(`/v1/batches/${id}`)).progress ?? {};
  }

  #post<T>(path: string, body: object): Promise<T> {
    const headers = { "content-type": "application/json" };
    return this.#ask(path, { method: "POST", headers, body: JSON.stringify(body) });
  }

  async #ask<T>(path: string, init: RequestInit = {}): Promise<T> {
    const response = await fetch(this.#url + path, { ...init, headers: { ...this.#headers, ...init.headers } });
    const text = await response.text();
    if (!response.ok) throw new Error(`${init.method ?? "GET"} ${path}: ${response.status} ${text}`);
    return JSON.parse(text) as T;
  }
}

/** 1 if all are equal; 1/n if one has everything. */
export function jainIndex(shares: readonly number[]): number {
  const sum = shares.reduce((a, b) => a + b, 0);
  return sum ** 2 / (shares.length * shares.reduce((a, b) => a + b ** 2, 0));
}
