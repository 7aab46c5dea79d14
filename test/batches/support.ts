// A whole service, embedded or distributed, whose models are a script, and OpenAI's own client in front of it.

import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI, { toFile } from "openai";
import type { Batch } from "openai/resources";
import { pino } from "pino";
import { vi } from "vitest";
import type { FileSettings } from "../../src/config/config-schema.ts";
import type { DeploymentSettings, Settings } from "../../src/config/settings.ts";
import { type BatchRequest, newBatchId } from "../../src/domain/batch.ts";
import type { Clock } from "../../src/domain/clock.ts";
import { canonicalPart } from "../../src/domain/request.ts";
import { createBatch as createBatchOf } from "../../src/jobs/batches/batches.ts";
import { keylessCaller } from "../../src/jobs/caller.ts";
import { newFileId, writeFile } from "../../src/jobs/files/files.ts";
import type { JobsContext } from "../../src/jobs/jobs-context.ts";
import type { Provider } from "../../src/providers/provider.ts";
import { type Service, startService } from "../../src/service/start-service.ts";
import { lineFormats } from "../../src/wire/openai/line-formats.ts";
import { testSettings } from "../support/jobs-context.ts";
import { quickRounds } from "../support/quick-rounds.ts";
import { startMongo, startRedis } from "../support/servers.ts";

export interface TestService {
  url: string;
  client: OpenAI;
  settings: Settings;
  /** Stops the service and starts it again on the same data. */
  restart(): Promise<void>;
  /** Reloads the configuration, as SIGHUP does. */
  reload(): Promise<unknown>;
  /** Starts another process' part of the same distributed service. */
  another(): Promise<Service>;
  close(): Promise<void>;
}

/** Answers with what was asked, in capitals. */
export const shouting: Provider = {
  async call({ request }) {
    const [block] = canonicalPart(request).messages[0]!.content;
    const text = block?.type === "text" ? block.text.toUpperCase() : "";
    return { text, toolCalls: [], finishReason: "stop", usage: { input: 10, output: 5 } };
  },
  async close() {},
};

const fastModel: FileSettings["models"] = {
  "llama3-3-70b": {
    maxOutputTokens: 512,
    maxOutputTokensLimit: 2048,
    contextTokens: 50_000,
    deployments: [
      {
        region: "us-east-1",
        modelId: "us.meta.llama3-3-70b-instruct-v1:0",
        quotas: [{ unit: "requests", per: "minute", limit: 1_000_000, burst: 1_000_000 }],
      },
    ],
  },
};

interface TestServiceOptions {
  provider?: Provider;
  /** In place of one provider for all. */
  providerFor?: (deployment: DeploymentSettings) => Provider;
  file?: FileSettings;
  clock?: Clock;
}

export async function startTestService(
  mode: "embedded" | "distributed",
  { provider = shouting, providerFor = () => provider, file = {}, clock }: TestServiceOptions = {},
): Promise<TestService> {
  // Servers of its own. Services that share a Redis have one queue; services that share a MongoDB have the same keys.
  const servers = mode === "distributed" ? await Promise.all([startMongo(), startRedis()]) : undefined;
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-batches-"));
  const suffix = randomUUID().slice(0, 8);
  const environments = { UAT: { database: `dev-${suffix}` }, PROD: { database: `prod-${suffix}` } };
  const settings: Settings = {
    ...testSettings({ models: fastModel, environments, ...file }),
    dataDir,
    port: 0,
    logLevel: "silent",
    ...(servers && { distributed: { mongoUrl: servers[0].url, redisUrl: servers[1].url } }),
  };
  const log = pino({ level: "silent" });
  const start = () =>
    startService(settings, {
      createProvider: providerFor,
      roundTimers: quickRounds,
      readSettings: async () => settings,
      log,
      ...(clock && { clock }),
    });
  let service: Service = await start();
  const self: TestService = {
    url: "",
    client: undefined as unknown as OpenAI,
    settings,
    async restart() {
      await service.stop();
      service = await start();
      use();
    },
    reload: () => service.reload!(),
    another: start,
    async close() {
      await service.stop();
      await rm(dataDir, { recursive: true, force: true });
      for (const server of servers ?? []) await server.close();
    },
  };
  function use() {
    self.url = service.url!;
    self.client = new OpenAI({ baseURL: `${self.url}/v1`, apiKey: "none", maxRetries: 0 });
  }
  use();
  return self;
}

export const endpoint = "/v1/chat/completions";

/** What a batch of UAT asks for; there is no such file. */
export function batchRequestAt(createdAt: number): BatchRequest {
  return {
    id: newBatchId(),
    environment: "UAT",
    tenant: "default",
    endpoint,
    inputFileId: "file-of-the-test",
    completionWindow: "24h",
    createdAt,
    expiresAt: createdAt + 86_400_000,
  };
}

/** A batch of these lines on record, that nothing has been done for yet. */
export async function acceptedBatch(
  context: JobsContext,
  lines: Iterable<string>,
  expiresInMs?: number,
): Promise<BatchRequest> {
  async function* bytes() {
    for (const line of lines) yield Buffer.from(line);
  }
  const place = { id: newFileId(), environment: "UAT" };
  const described = { tenant: "default", filename: "in.jsonl", purpose: "batch", expiresInMs } as const;
  const { id: inputFileId } = await writeFile(context, place, bytes(), () => described);
  const input = { inputFileId, endpoint, completionWindow: "24h" };
  return (await createBatchOf(context, lineFormats(context.settings), input, keylessCaller)).request;
}

/** A line as OpenAI's guide has it. */
export function lineOf(customId: string, content = customId, fields: object = {}): string {
  const body = { model: "llama3-3-70b", messages: [{ role: "user", content }], ...fields };
  return JSON.stringify({ custom_id: customId, method: "POST", url: endpoint, body });
}

export async function upload({ client }: TestService, content: string | Buffer): Promise<string> {
  const file = await client.files.create({ file: await toFile(Buffer.from(content), "in.jsonl"), purpose: "batch" });
  return file.id;
}

export async function createBatch(service: TestService, content: string | Buffer): Promise<Batch> {
  const input_file_id = await upload(service, content);
  return service.client.batches.create({ input_file_id, endpoint, completion_window: "24h" });
}

/** Waits until the batch has the status. */
export async function untilStatus({ client }: TestService, id: string, ...statuses: Batch["status"][]): Promise<Batch> {
  return vi.waitFor(
    async () => {
      const batch = await client.batches.retrieve(id);
      if (!statuses.includes(batch.status)) throw new Error(`The batch is ${batch.status}: ${JSON.stringify(batch)}`);
      return batch;
    },
    { timeout: 30_000, interval: 50 },
  );
}

/** The lines of a file. */
export async function linesIn(
  { client }: TestService,
  fileId: string | undefined,
  // biome-ignore lint/suspicious/noExplicitAny: tests compare it with what they expect
): Promise<any[]> {
  if (fileId === undefined) return [];
  const text = await (await client.files.content(fileId)).text();
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
}
