// Who uses the quota: this service, and three usual ways to do without it. All of them call the same simulated Bedrock
// through the same provider, with the same jobs; there is always more to do.
import { setMaxListeners } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { DelayedError, Queue, Worker } from "bullmq";
import { Redis } from "ioredis";
import { pino } from "pino";
import { stringify } from "yaml";
import { loadSettings } from "../../src/config/load.ts";
import { systemClock } from "../../src/domain/clock.ts";
import { createBedrockProvider } from "../../src/providers/bedrock/bedrock-provider.ts";
import { ProviderError } from "../../src/providers/provider.ts";
import { startService } from "../../src/service/start-service.ts";
import { maxTokens, meanCost, modelId, promptOf, type Quota, sizesOf } from "./upstream.ts";

/** Begins to use the quota at the address; the function that is returned ends that. */
export type Contender = (url: string, quota: Quota, minutes: number) => Promise<() => Promise<void>>;

const credentials = { accessKeyId: "bench", secretAccessKey: "bench" };
/** Calls at a time, of those who have no other bound. */
const concurrency = 64;

/** The whole service, from HTTP to the stored answer; told of the limit and nothing else. */
export const ours: Contender = async (endpoint, quota, minutes) => {
  const folder = await mkdtemp(join(tmpdir(), "sluice-quota-use-"));
  const burst = (quota.hasBurst ?? true) && { burst: Math.ceil(quota.limit / 10) };
  const config = {
    models: {
      bench: {
        maxOutputTokens: 16,
        deployments: [
          {
            region: "us-east-1",
            modelId,
            endpoint,
            maxConcurrency: 256,
            quotas: [{ unit: quota.unit, per: "minute", limit: quota.limit, ...burst }],
          },
        ],
      },
    },
    environments: { UAT: { database: "SSP-dev" } },
  };
  await writeFile(join(folder, "sluice.yaml"), stringify(config));
  // The AWS SDK looks for credentials in the environment of the process.
  process.env.AWS_ACCESS_KEY_ID ??= "bench";
  process.env.AWS_SECRET_ACCESS_KEY ??= "bench";
  const settings = await loadSettings({ env: { ...process.env, PORT: "0" }, cwd: folder });
  const service = await startService(settings, { log: pino({ level: "error" }) });
  const nextSize = sizesOf(quota);
  const perMinute = quota.unit === "requests" ? quota.limit : quota.limit / meanCost(quota);
  const jobs = Math.ceil(perMinute * (minutes + 1.5)) + 50;
  for (let sent = 0; sent < jobs; sent += 50) {
    await Promise.all(Array.from({ length: 50 }, () => submit(service.url!, nextSize())));
  }
  return async () => {
    await service.stop();
    await rm(folder, { recursive: true, force: true });
  };
};

async function submit(url: string, size: number): Promise<void> {
  const response = await fetch(`${url}/enqueue`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ prompt: promptOf(size), environment: "UAT", max_tokens: maxTokens }),
  });
  if (!response.ok) throw new Error(await response.text());
  await response.body?.cancel();
}

/** So much in every minute by the clock, counted in what the calls reserve; a throttled call is tried again after a second. */
export const fixedWindow: Contender = (url, quota) => {
  let windowEndsAt = 0;
  let used = 0;
  const admit = async (cost: number): Promise<void> => {
    for (;;) {
      const now = performance.now();
      if (now >= windowEndsAt) {
        windowEndsAt = now + 60_000;
        used = 0;
      }
      if (used + cost <= quota.limit) {
        used += cost;
        return;
      }
      await sleep(windowEndsAt - now);
    }
  };
  return runLoops(url, quota, async (call, size) => {
    const cost = quota.unit === "requests" ? 1 : size + maxTokens;
    for (;;) {
      await admit(cost);
      if (await call(size)) return;
      await sleep(1_000);
    }
  });
};

/** No limiter: what is throttled is tried again after a random part of 1 s, 2 s, 4 s, ... up to a minute. */
export const retryOn429: Contender = (url, quota) =>
  runLoops(url, quota, async (call, size) => {
    for (let tries = 0; !(await call(size)); tries++) {
      await sleep(Math.random() * Math.min(60_000, 1_000 * 2 ** tries));
    }
  });

async function runLoops(
  url: string,
  quota: Quota,
  run: (call: (size: number) => Promise<boolean>, size: number) => Promise<void>,
): Promise<() => Promise<void>> {
  const { call, close } = openProvider(url);
  const nextSize = sizesOf(quota);
  const ended = newEnd();
  const loop = async () => {
    while (!ended.signal.aborted) await run((size) => call(size, ended.signal), nextSize());
  };
  for (let i = 0; i < concurrency; i++) {
    loop().catch((error) => {
      if (!ended.signal.aborted) throw error;
    });
  }
  return async () => {
    ended.abort();
    await close();
  };
}

/** BullMQ's limiter, which counts jobs: for tokens as many as fit into a minute on average. */
export function bullmq(redisSocket: string): Contender {
  return async (url, quota, minutes) => {
    const connection = () => new Redis(redisSocket, { maxRetriesPerRequest: null });
    const connections: Redis[] = [];
    const connect = () => {
      const redis = connection();
      connections.push(redis);
      return redis;
    };
    const { call, close } = openProvider(url);
    const ended = newEnd();
    const name = `quota-use-${crypto.randomUUID()}`;
    const nextSize = sizesOf(quota);
    const max = quota.unit === "requests" ? quota.limit : Math.floor(quota.limit / meanCost(quota));
    const queue = new Queue(name, { connection: connect() });
    const jobs = Math.ceil(max * (minutes + 1.5)) + 50;
    for (let sent = 0; sent < jobs; sent += 500) {
      await queue.addBulk(
        Array.from({ length: 500 }, () => ({
          name: "call",
          data: { size: nextSize() },
          opts: { attempts: 100, backoff: { type: "exponential", delay: 1_000 }, removeOnComplete: true },
        })),
      );
    }
    const worker = new Worker<{ size: number }>(
      name,
      async (job) => {
        if (ended.signal.aborted) throw new DelayedError();
        if (!(await call(job.data.size, ended.signal))) throw new Error("throttled");
      },
      { connection: connect(), concurrency, limiter: { max, duration: 60_000 } },
    );
    worker.on("error", () => {});
    return async () => {
      ended.abort();
      await worker.close(true);
      await queue.close();
      for (const redis of connections) redis.disconnect();
      await close();
    };
  };
}

/** Many calls listen to it. */
function newEnd(): AbortController {
  const ended = new AbortController();
  setMaxListeners(0, ended.signal);
  return ended;
}

/** Calls answer false when they were throttled. */
function openProvider(endpoint: string) {
  const timeouts = { connectMs: 5_000, firstByteMs: 60_000, idleMs: 60_000, totalMs: 600_000 };
  const provider = createBedrockProvider({
    region: "us-east-1",
    modelId,
    endpoint,
    streaming: true,
    timeouts,
    credentials,
    maxSockets: 256,
    clock: systemClock,
  });
  return {
    async call(size: number, signal: AbortSignal): Promise<boolean> {
      const messages = [{ role: "user" as const, content: [{ type: "text" as const, text: promptOf(size) }] }];
      try {
        await provider.call({ request: { messages, parameters: { maxTokens } }, signal });
        return true;
      } catch (error) {
        if (error instanceof ProviderError && error.failure.kind === "throttled") return false;
        throw error;
      }
    },
    close: () => provider.close(),
  };
}
