// A whole service in front of two providers that answer as the test says: an OpenAI-compatible server and Bedrock.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { vi } from "vitest";
import type { FileSettings } from "../../src/config/config-schema.ts";
import { startService } from "../../src/service/start-service.ts";
import * as bedrock from "../providers/fake-bedrock.ts";
import * as openai from "../providers/fake-openai.ts";
import { testSettings } from "./jobs-context.ts";

// biome-ignore lint/suspicious/noExplicitAny: tests compare it with what they expect
export type Json = any;

/** Tokens per minute of every model. */
export const limit = 20_000;
export const contextTokens = 30_000;
export const maxTokens = 100;
/** By how the answer comes. `patient` is for tests that close a model. */
export const models = ["open", "whole", "converse", "stream"] as const;
export type Model = (typeof models)[number];

export interface TwoProviders {
  url: string;
  openAi: openai.FakeOpenAi;
  aws: bedrock.FakeBedrock;
  /** What was logged at level warn and above. */
  logged: Json[];
  call(path: string, body?: unknown): Promise<{ status: number; body: Json }>;
  /** Submits a job to a model and returns it when it has ended, or after 30 s. */
  run(model: Model, fields?: object): Promise<Json>;
  /** Lets the providers give good answers, and checks that the model runs and that every endpoint answers. */
  expectAlive(model: Model): Promise<void>;
  close(): Promise<void>;
}

/** @param tokensPerMinute of each model */
export async function startTwoProviders(tokensPerMinute = limit, file: FileSettings = {}): Promise<TwoProviders> {
  vi.stubEnv("AWS_EC2_METADATA_DISABLED", "true");
  vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIA");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "secret");
  const [openAi, aws] = await Promise.all([openai.startFakeOpenAi(), bedrock.startFakeBedrock()]);
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-providers-"));
  const model = (name: string, deployment: object) => ({
    maxOutputTokens: maxTokens,
    contextTokens,
    deployments: [{ ...deployment, quotas: [{ name, unit: "tokens", per: "minute", limit: tokensPerMinute }] }],
  });
  const server = { provider: "openai", region: "local", baseUrl: openAi.url, modelId: "plain" };
  const served = { region: "us-east-1", modelId: "amazon.nova-pro-v1:0", endpoint: aws.url };
  const prices = { input: 1, output: 2, cacheRead: 0.1 };
  const settings = testSettings({
    defaultModel: "open",
    worker: { concurrency: 4, backoffBaseMs: 1, backoffMaxMs: 1 },
    catalogue: { "amazon.nova-pro-v1:0": { prices }, plain: { prices } },
    models: {
      open: model("open", server),
      whole: model("whole", { ...server, name: "whole", streaming: false }),
      patient: model("patient", { ...server, name: "patient" }),
      converse: model("converse", { ...served, streaming: false }),
      stream: model("stream", { ...served, region: "us-west-2" }),
    } as unknown as FileSettings["models"],
    ...file,
  });
  const logged: Json[] = [];
  const log = pino({ level: "warn" }, { write: (line: string) => void logged.push(JSON.parse(line)) });
  const service = await startService({ ...settings, dataDir, port: 0 }, { log });

  const self: TwoProviders = {
    url: service.url!,
    openAi,
    aws,
    logged,
    async call(path, body) {
      const post = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
      const response = await fetch(`${service.url}${path}`, body === undefined ? {} : post);
      const text = await response.text();
      return { status: response.status, body: text.startsWith("{") ? JSON.parse(text) : text };
    },
    async run(model, fields = {}) {
      const { body } = await self.call("/v1/jobs", { prompt: "hello", environment: "UAT", model, ...fields });
      return (await self.call(`/v1/jobs/${body.job_id}?wait=30`)).body;
    },
    async expectAlive(model) {
      openAi.respond(model === "whole" ? openai.completion({ content: "well" }) : openai.stream(openai.wholeAnswer));
      aws.respond(
        model === "converse" ? converse({ inputTokens: 7, outputTokens: 3 }) : bedrock.stream(bedrock.wholeAnswer),
      );
      const job = await self.run(model);
      if (job.status !== "completed") throw new Error(`The model ${model} stopped: ${JSON.stringify(job)}`);
      const day = new Date().toISOString().slice(0, 10);
      const usage = `/v1/usage?from=${day}&to=${day}`;
      for (const path of ["/v1/jobs", "/v1/deployments", "/v1/models", "/v1/stats", usage]) {
        const { status, body } = await self.call(path);
        if (status !== 200) throw new Error(`${path} answers ${status}: ${JSON.stringify(body)}`);
      }
    },
    async close() {
      await service.stop();
      await Promise.all([openAi.close(), aws.close()]);
      await rm(dataDir, { recursive: true, force: true });
      vi.unstubAllEnvs();
    },
  };
  return self;
}

/** An answer of Bedrock's in one piece. */
export function converse(usage: object, content: unknown[] = [{ text: "hi" }], stopReason = "end_turn") {
  return bedrock.json(200, { output: { message: { role: "assistant", content } }, stopReason, usage });
}
