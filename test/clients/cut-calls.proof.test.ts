// Calls that outlive the read timeout of their client, several times: the official SDKs repeat them, and each runs once, in
// both forms of the service.
import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { promisify } from "node:util";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, inject, test, vi } from "vitest";
import { type Simulator, startSimulator } from "../../src/simulator/simulator.ts";
import type { Form } from "../support/forms.ts";
import { testSettings } from "../support/jobs-context.ts";
import { withoutMongo, withoutRedis } from "../support/servers.ts";
import { type StartedService, startForm } from "../support/started-service.ts";

const region = "us-east-1";
/** Three timeouts of 400 ms, and the SDKs' pauses of up to 0.5, 1 and 2 s between them, pass before the answer. */
const latencyMs = 3_200;
const timeout = 400;
const maxRetries = 10;

const python = inject("python");
const isMissing = withoutMongo() || withoutRedis();

describe.each<Form>(["embedded", "distributed"])("%s", (form) => {
  let bedrock: Simulator;
  let service: StartedService;
  beforeAll(async () => {
    vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIA");
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", "secret");
    if (form === "distributed" && isMissing) return;
    bedrock = await startSimulator({ latencyMs });
    const modelIds = { sonnet: "us.anthropic.claude-sonnet-4-5-20250929-v1:0", nova: "us.amazon.nova-lite-v1:0" };
    const models = Object.fromEntries(
      Object.entries(modelIds).map(([alias, modelId]) => [
        alias,
        // One call at a time, so that the second one waits in the queue.
        { deployments: [{ region, modelId, endpoint: bedrock.url, maxConcurrency: 1 }] },
      ]),
    );
    service = await startForm(form, { ...testSettings({ models, defaultModel: "nova" }), logLevel: "silent" });
  });
  afterAll(async () => {
    await service?.stop();
    await bedrock?.stop();
    vi.unstubAllEnvs();
  });

  /** Counts the requests that a client sends. */
  function counted() {
    const sent = { requests: 0 };
    const counting: typeof fetch = (target, init) => {
      sent.requests++;
      return fetch(target, init);
    };
    return { sent, fetch: counting };
  }

  const question = (content: string) => ({ role: "user" as const, content });

  test.skipIf(form === "distributed" && isMissing)(
    "one call each, whether it runs or waits",
    { concurrent: true, timeout: 40_000 },
    async () => {
      const asked = ["first", "second"].flatMap((prompt) => {
        const anthropic = counted();
        const openai = counted();
        const claude = new Anthropic({
          baseURL: service.url,
          apiKey: "none",
          timeout,
          maxRetries,
          fetch: anthropic.fetch,
        });
        const gpt = new OpenAI({
          ...{ baseURL: `${service.url}/v1`, apiKey: "none" },
          ...{ timeout, maxRetries, fetch: openai.fetch },
        });
        const messages = [question(prompt)];
        return [
          { ...anthropic, answer: claude.messages.create({ model: "sonnet", max_tokens: 50, messages }) },
          { ...openai, answer: gpt.chat.completions.create({ model: "nova", max_tokens: 50, messages }) },
        ];
      });
      const answers = await Promise.all(asked.map(({ answer }) => answer));
      for (const answer of answers) expect(JSON.stringify(answer)).toContain("synthetic");
      for (const { sent } of asked) expect(sent.requests).toBeGreaterThan(3);
      const calls = bedrock.calls.filter(({ prompt }) => prompt !== "python");
      expect(calls.map(({ prompt }) => prompt).sort()).toEqual(["first", "first", "second", "second"]);
      expect(calls.map(({ outcome }) => outcome)).toEqual(asked.map(() => "answered"));
    },
  );

  const isSkipped = python === null || (form === "distributed" && isMissing);
  test.skipIf(isSkipped)("one call each of the SDKs for Python", { concurrent: true, timeout: 40_000 }, async () => {
    const env = {
      ...{ PATH: process.env.PATH, PYTHONDONTWRITEBYTECODE: "1" },
      ...{ ANTHROPIC_BASE_URL: service.url, ANTHROPIC_API_KEY: "none" },
      ...{ OPENAI_BASE_URL: `${service.url}/v1`, OPENAI_API_KEY: "none" },
    };
    const program = resolve(import.meta.dirname, "../python/cut_calls.py");
    const { stdout } = await promisify(execFile)(python!, [program], { env, timeout: 40_000 });
    expect(stdout.match(/synthetic/g)).toHaveLength(2);
    const calls = bedrock.calls.filter(({ prompt }) => prompt === "python");
    expect(calls.map(({ outcome }) => outcome)).toEqual(["answered", "answered"]);
  });
});
