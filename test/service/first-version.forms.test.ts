// Opens what the first version wrote, commit 72c34a0: a data folder, or the content of a Redis and a MongoDB. It holds
// finished, waiting, delayed and cancelled jobs, a batch in progress, keys, a deleted job, and a webhook to deliver.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { gunzipSync } from "node:zlib";
import { Redis } from "ioredis";
import { BSON, MongoClient } from "mongodb";
import { expect, onTestFinished, test, vi } from "vitest";
import { startService } from "../../src/service/start-service.ts";
import { startSimulator } from "../../src/simulator/simulator.ts";
import { describeForm, type Form } from "../support/forms.ts";
import { testSettings } from "../support/jobs-context.ts";
import { startMongo, startRedis } from "../support/servers.ts";

const folder = resolve(import.meta.dirname, "first-version");

interface Expected {
  key: string;
  tenant_key: string;
  keyed: string;
  deleted: string;
  prod: string;
  text: string;
  file: string;
  lines: string;
  batch: string;
  later: string;
  queued: string[];
  cancelled: string;
  webhook: string;
  tenants: string;
  /** When it was written, in milliseconds since the epoch. */
  at: number;
}

const unzipped = async (path: string) => gunzipSync(await readFile(path));

/** Returns a data folder with what the first version wrote. */
async function dataFolder(): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-first-version-"));
  onTestFinished(() => rm(dataDir, { recursive: true, force: true }));
  const from = join(folder, "embedded");
  for (const name of ["SSP-dev", "SSP-prod", "sluice"]) {
    await writeFile(join(dataDir, `${name}.sqlite`), await unzipped(join(from, `${name}.sqlite.gz`)));
  }
  await mkdir(join(dataDir, "files"));
  for (const name of await readdir(join(from, "files"))) {
    await writeFile(join(dataDir, "files", name), await readFile(join(from, "files", name)));
  }
  return dataDir;
}

/** Returns servers with what the first version wrote. */
async function servers(): Promise<{ mongoUrl: string; redisUrl: string }> {
  const [redis, mongo] = await Promise.all([startRedis(), startMongo()]);
  onTestFinished(async () => {
    await Promise.all([redis.close(), mongo.close()]);
  });
  const from = join(folder, "distributed");
  const databases = BSON.EJSON.parse(String(await unzipped(join(from, "mongo.json.gz"))), { relaxed: false });
  const mongoClient = await MongoClient.connect(mongo.url);
  for (const [database, collections] of Object.entries(databases as Record<string, Record<string, BSON.Document[]>>)) {
    for (const [collection, documents] of Object.entries(collections)) {
      if (documents.length > 0) await mongoClient.db(database).collection(collection).insertMany(documents);
    }
  }
  await mongoClient.close();
  const client = new Redis(redis.url);
  const keys: { key: string; type: string; values: string[] }[] = JSON.parse(
    String(await unzipped(join(from, "redis.json.gz"))),
  );
  for (const { key, type, values } of keys) {
    const name = Buffer.from(key, "base64");
    const items = values.map((value) => Buffer.from(value, "base64"));
    if (type === "string") await client.set(name, items[0]!);
    else if (type === "hash") await client.call("HSET", name, ...items);
    // Members and scores are read in the opposite order of the one in which they are written.
    else await client.call("ZADD", name, ...items.map((_, i) => items[i % 2 === 0 ? i + 1 : i - 1]!));
  }
  client.disconnect();
  return { mongoUrl: mongo.url, redisUrl: redis.url };
}

async function startOn(form: Form, expected: Expected) {
  const simulator = await startSimulator({ latencyMs: 0 });
  onTestFinished(() => simulator.stop());
  vi.stubEnv("AWS_ACCESS_KEY_ID", "simulator");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "simulator");
  onTestFinished(() => void vi.unstubAllEnvs());
  const deployments = [
    {
      region: "us-east-1",
      modelId: "us.meta.llama3-3-70b-instruct-v1:0",
      endpoint: simulator.url,
      quotas: [{ unit: "requests" as const, per: "minute" as const, limit: 1_000 }],
    },
  ];
  const settings = {
    ...testSettings({ models: { "llama3-3-70b": { deployments } }, defaultModel: "llama3-3-70b" }),
    port: 0,
    logLevel: "silent" as const,
    ...(form === "embedded" ? { dataDir: await dataFolder() } : { distributed: await servers() }),
  };
  // A minute after it was written: nothing has expired.
  const began = performance.now();
  const clock = { now: () => performance.now(), wall: () => expected.at + 60_000 + performance.now() - began };
  const service = await startService(settings, { clock });
  onTestFinished(() => service.stop());
  return {
    async call(method: string, path: string, body?: object, key = expected.key, headers: Record<string, string> = {}) {
      const response = await fetch(service.url + path, {
        method,
        headers: {
          authorization: `Bearer ${key}`,
          ...(body && { "content-type": "application/json" }),
          ...headers,
        },
        ...(body && { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      const isJson = response.headers.get("content-type")?.startsWith("application/json");
      // biome-ignore lint/suspicious/noExplicitAny: the test compares it with what it expects
      return { status: response.status, text, body: (isJson ? JSON.parse(text) : undefined) as any };
    },
  };
}

describeForm((form) => {
  test("what the first version wrote opens: nothing is lost, and waiting jobs run", { timeout: 60_000 }, async () => {
    const expected: Expected = JSON.parse(await readFile(join(folder, form, "expected.json"), "utf8"));
    const { call } = await startOn(form, expected);
    const job = async (id: string) => (await call("GET", `/v1/jobs/${id}`)).body;
    const enqueue = (prompt: string, key: string) =>
      call("POST", "/enqueue", { prompt, environment: "UAT" }, expected.key, { "idempotency-key": key });

    // What had ended is as it was.
    expect(await job(expected.keyed)).toMatchObject({ status: "completed", text: expected.text });
    expect(await job(expected.prod)).toMatchObject({ environment: "PROD", metadata: { team: "blue" } });
    expect((await job(expected.cancelled)).status).toBe("cancelled");
    expect((await call("GET", `/v1/jobs/${expected.deleted}`)).status).toBe(404);
    expect((await call("GET", `/v1/files/${expected.file}/content`)).text).toBe(expected.lines);

    // Keys, idempotency keys and tombstones.
    expect((await call("GET", "/v1/jobs", undefined, "sk-sluice-wrong")).status).toBe(401);
    expect((await call("GET", `/v1/jobs/${expected.keyed}`, undefined, expected.tenant_key)).status).toBe(404);
    expect((await enqueue("Name a colour.", "key-1")).body.job_id).toBe(expected.keyed);
    const anew = await enqueue("Name a river.", "key-2");
    expect(anew.body.job_id).not.toBe(expected.deleted);
    const batch = { input_file_id: expected.file, endpoint: "/v1/chat/completions", completion_window: "24h" };
    const again = await call("POST", "/v1/batches", batch, expected.key, { "idempotency-key": "batch-1" });
    expect(again.body.id).toBe(expected.batch);

    // What waited runs, once.
    const waiting = [...expected.queued, expected.webhook, anew.body.job_id as string];
    await expect
      .poll(async () => (await Promise.all(waiting.map(job))).map(({ status }) => status), { timeout: 30_000 })
      .toEqual(waiting.map(() => "completed"));
    await expect
      .poll(
        async () => (await call("GET", `/v1/jobs/${expected.tenants}`, undefined, expected.tenant_key)).body.status,
        {
          timeout: 30_000,
        },
      )
      .toBe("completed");
    await expect
      .poll(async () => (await call("GET", `/v1/batches/${expected.batch}`)).body.status, { timeout: 30_000 })
      .toBe("completed");
    const { output_file_id: output } = (await call("GET", `/v1/batches/${expected.batch}`)).body;
    const results = (await call("GET", `/v1/files/${output}/content`)).text.trim().split("\n");
    expect(results.map((line) => JSON.parse(line).custom_id)).toEqual(results.map((_, i) => `line-${i}`));
    expect(results).toHaveLength(8);
    expect((await job(expected.later)).status).toBe("queued");

    // Usage counts each call once: 3 jobs and 3 lines by the first version, 5 lines and 7 jobs now.
    const usage = await call("GET", "/v1/usage");
    expect(usage.body.total.attempts).toBe(18);
    expect((await call("GET", "/v1/pauses")).body.data).toMatchObject([{ tenant: "third" }]);
    const deliveries = (await call("GET", "/v1/webhooks/deliveries")).body.data;
    expect(deliveries).toMatchObject([{ job_id: expected.webhook }]);
  });
});
