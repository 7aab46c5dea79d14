// Taking jobs in: what is checked beyond the form of a request, what is stored, and that it is all or nothing.
import { describe, expect } from "vitest";
import type { SluiceError } from "../../../src/domain/errors.ts";
import { type Caller, keylessCaller } from "../../../src/jobs/caller.ts";
import { accept, submit } from "../../../src/jobs/submit/submit.ts";
import type { CanonicalInput } from "../../../src/jobs/submit/submit-input.ts";
import { test } from "../../support/fixtures.ts";
import type { TestContext } from "../../support/jobs-context.ts";

let context: TestContext;
test.beforeEach(async ({ openContext }) => {
  context = await openContext();
});

function asking(text: string, more: Partial<CanonicalInput> = {}): CanonicalInput {
  return {
    environment: "UAT",
    messages: [{ role: "user", content: [{ type: "text", text }] }],
    messagesField: "prompt",
    ...more,
  };
}

function refusalOf(input: CanonicalInput): Promise<SluiceError> {
  return submit(context, [input]).then(
    () => expect.unreachable("the job should have been refused"),
    (error) => error,
  );
}

test("accepts several at once, in different environments, for a tenant", async () => {
  const jobs = await submit(context, [asking("a"), asking("b", { environment: "PROD" }), asking("c")], {
    ...keylessCaller,
    tenant: "acme",
  });
  expect(new Set(jobs.map((job) => job.id)).size).toBe(3);
  for (const job of jobs) {
    expect((await context.store.get(job.id))?.job).toEqual(job);
    expect(await context.scheduler.explain(job.id)).toMatchObject({ state: "waiting" });
    expect(job.tenant).toBe("acme");
  }
});

test("accepts all or none", async () => {
  const before = await context.countJobs();
  await expect(submit(context, [asking("a"), asking(" ")])).rejects.toMatchObject({ code: "invalid_request" });
  expect(await context.countJobs()).toBe(before);
});

test("tells who listens that a job is queued", async () => {
  const published: unknown[] = [];
  context.events.publish = (event) => published.push(event);
  const [job] = await submit(context, [asking("a")]);
  expect(published).toEqual([
    { type: "state", jobId: job!.id, environment: "UAT", state: "queued", at: job!.submittedAt },
  ]);
});

test("tells of accepted jobs with their prompts, once each", async () => {
  const told: string[] = [];
  context.events.publishAccepted = (jobs) => told.push(...jobs.map((job) => job.id));
  const jobs = await submit(context, [asking("a"), asking("b")]);
  await accept(context, jobs);
  expect(told).toEqual(jobs.map((job) => job.id));
});

test("tools, schemas and every parameter reach the record as they were asked for", async ({ openContext }) => {
  const asked: Partial<CanonicalInput> = {
    tools: [{ name: "look_up", inputSchema: { type: "object", $schema: "x" } }],
    toolChoice: { name: "look_up" },
    responseFormat: { type: "json_schema", name: "answer", schema: { type: "object" }, strict: true },
    serviceTier: "flex",
  };
  const parameters: Partial<CanonicalInput> = {
    ...{ maxTokens: 5, temperature: 0, topP: 0.5, topK: 4, stop: ["."], seed: 7 },
    ...{ frequencyPenalty: 0.5, presencePenalty: -0.5, reasoningEffort: "low" },
  };
  // A server of OpenAI's API takes all of them, as far as is known.
  const baseUrl = "http://127.0.0.1:1/v1";
  const models = { any: { deployments: [{ provider: "openai" as const, baseUrl, modelId: "any" }] } };
  const context = await openContext({ models, defaultModel: "any" });
  const [job] = await submit(context, [asking("a", { ...asked, ...parameters, ephemeral: true })]);
  const record = await context.store.get(job!.id);
  expect(record?.job).toMatchObject({ ephemeral: true, request: { ...asked, parameters } });
});

test("texts of tool calls, their results and schemas count in the limit", async ({ openContext }) => {
  const context = await openContext({ limits: { maxPromptBytes: 1000 } });
  const long = "x".repeat(1000);
  const call = { type: "tool_call" as const, id: "1", name: "f", arguments: JSON.stringify({ long }) };
  const result = { type: "tool_result" as const, callId: "1", text: long };
  const refused = (more: Partial<CanonicalInput>) =>
    expect(submit(context, [asking("a", more)])).rejects.toMatchObject({ code: "too_large" });
  const user = asking("a").messages[0]!;
  await refused({ messages: [user, { role: "assistant", content: [call] }] });
  await refused({ messages: [user, { role: "user", content: [result] }] });
  await refused({ tools: [{ name: "f", description: long, inputSchema: {} }] });
  await refused({ responseFormat: { type: "json_schema", name: "f", schema: { description: long } } });
});

test("a job that names no max_tokens reserves its model's default, and never more than a fallback can give", async () => {
  const [plain] = await submit(context, [asking("a")]);
  expect(plain!.request.parameters.maxTokens).toBe(512);
  expect(plain!.tokens.output).toBe(512);
  const [both] = await submit(context, [asking("a", { model: "nova-lite", fallbackModels: ["llama3-3-70b"] })]);
  expect(both!.request.parameters.maxTokens).toBe(1024);
  expect(
    await refusalOf(asking("a", { model: "nova-lite", maxTokens: 2049, fallbackModels: ["llama3-3-70b"] })),
  ).toMatchObject({
    code: "invalid_request",
    details: { field: "max_tokens" },
    message: "max_tokens must be an integer between 1 and 2048; got 2049.",
  });
});

test("a blank system text is none", async () => {
  const [job] = await submit(context, [asking("a", { system: " \n" })]);
  expect(job!.request).not.toHaveProperty("system");
});

test("start and deadline are counted from one and the same moment", async () => {
  let now = Date.now();
  context.clock = { now: () => now, wall: () => now++ };
  const [job] = await submit(context, [asking("a", { notBefore: { inMs: 59_999 }, expiresInMs: 60_000 })]);
  expect(job!.notBefore! - job!.submittedAt).toBe(59_999);
  expect(job!.expiresAt! - job!.submittedAt).toBe(60_000);
  expect(await refusalOf(asking("a", { notBefore: { inMs: 60_000 }, expiresInMs: 60_000 }))).toMatchObject({
    code: "invalid_request",
    details: { field: "not_before" },
  });
});

describe("a cost near a limit", () => {
  /** The estimate makes 20 to 55 % too much of this; the quota admits 20,000. */
  const json = JSON.stringify(Array.from({ length: 1400 }, (_, i) => ({ id: i, name: "item", ok: true })));

  test("what only the estimate refuses is counted, and accepted with its count", async () => {
    const { settings } = context;
    const [counted] = await context.tokenCounter.count([
      { messages: asking(json).messages, parameters: { maxTokens: 10 } },
    ]);
    settings.models["llama3-3-70b"]!.deployments[0]!.quotas[1]!.limit = counted! + 10;
    const [job] = await submit(context, [asking(json, { maxTokens: 10 })]);
    expect(job!.tokens).toEqual({ input: counted, output: 10 });
    settings.models["llama3-3-70b"]!.deployments[0]!.quotas[1]!.limit = counted! + 9;
    expect(await refusalOf(asking(json, { maxTokens: 10 }))).toMatchObject({ code: "exceeds_quota" });
  });

  test("what the estimate admits is not counted", async () => {
    context.tokenCounter.count = () => expect.unreachable("counting is dear");
    const [job] = await submit(context, [asking("Hello?")]);
    expect(job!.tokens.input).toBeGreaterThan(0);
  });

  test("what cannot be counted is not refused for good", async () => {
    context.tokenCounter.count = () => Promise.reject(new Error("busy"));
    const before = await context.countJobs();
    expect(await refusalOf(asking("word ".repeat(19_900)))).toMatchObject({ code: "unavailable" });
    expect(await context.countJobs()).toBe(before);
  });

  test("the model's own factor counts, and the largest one where a fallback may answer", async () => {
    context.settings.models["nova-lite"]!.tokenFactor = 1;
    const [plain] = await submit(context, [asking("Hello there, who are you?", { model: "nova-lite" })]);
    context.settings.models["nova-lite"]!.tokenFactor = 1.5;
    context.settings.models["llama3-3-70b"]!.tokenFactor = 2;
    const [more] = await submit(context, [asking("Hello there, who are you?", { model: "nova-lite" })]);
    const [most] = await submit(context, [
      asking("Hello there, who are you?", { model: "nova-lite", fallbackModels: ["llama3-3-70b"] }),
    ]);
    expect(more!.tokens.input).toBe(Math.ceil(plain!.tokens.input * 1.5));
    expect(most!.tokens.input).toBe(plain!.tokens.input * 2);
  });

  test("one deployment that could ever admit is enough, if it is in an allowed region", async () => {
    const { deployments } = context.settings.models["llama3-3-70b"]!;
    const small = deployments[0]!;
    deployments.push({ ...small, id: "bedrock/us-west-2/x", region: "us-west-2", quotas: [] });
    const large = "word ".repeat(25_000);
    expect((await submit(context, [asking(large)])).length).toBe(1);
    expect((await submit(context, [asking(large, { regions: ["us-west-2"] })])).length).toBe(1);
    expect(await refusalOf(asking(large, { regions: ["us-east-1"] }))).toMatchObject({
      code: "exceeds_quota",
      message: expect.stringMatching(
        /^The job would reserve \d+ tokens \(input \d+ \+ max_tokens 512\); the quota \S+ of bedrock\/us-east-1\/\S+ admits at most 20000 per minute\.$/,
      ),
    });
  });

  test("the refusal says how often output tokens count", async () => {
    context.settings.models["llama3-3-70b"]!.deployments[0]!.outputBurndown = 100;
    expect(await refusalOf(asking("Hello"))).toMatchObject({
      code: "exceeds_quota",
      message: expect.stringMatching(
        /^The job would reserve \d+ tokens \(input \d+ \+ max_tokens 512, each counted 100 times\)/,
      ),
    });
  });

  test("the refusal names the deployment that comes closest", async () => {
    const { deployments } = context.settings.models["llama3-3-70b"]!;
    const [requests, tokens] = deployments[0]!.quotas;
    for (const limit of [15_000, 24_000, 5_000]) {
      const quotas = [requests!, { ...tokens!, name: `q${limit}`, limit }];
      deployments.push({ ...deployments[0]!, id: `bedrock/x/${limit}`, quotas });
    }
    const { message } = await refusalOf(asking("word ".repeat(25_000)));
    expect(message).toContain("the quota q24000 of bedrock/x/24000 admits at most 24000 per minute");
  });

  test("the context of every model that may answer counts", async () => {
    const large = "word ".repeat(60_000);
    expect((await submit(context, [asking(large, { model: "nova-lite" })])).length).toBe(1);
    expect(await refusalOf(asking(large, { model: "nova-lite", fallbackModels: ["llama3-3-70b"] }))).toMatchObject({
      code: "context_exceeded",
      message: expect.stringMatching(/^The job needs \d+ tokens .*; llama3-3-70b accepts at most 50000\.$/),
    });
  });
});

describe("what the configuration says of tenants and fallbacks", () => {
  let own: TestContext;
  const novaLite = { region: "eu-west-1", modelId: "eu.amazon.nova-lite-v1:0" };
  test.beforeAll(async ({ shareContext }) => {
    own = await shareContext({
      models: {
        main: {
          contextTokens: 50_000,
          fallbackModels: ["elsewhere", "small", "other"],
          deployments: [
            { region: "us-east-1", modelId: "us.amazon.nova-pro-v1:0" },
            { region: "eu-west-1", modelId: "eu.amazon.nova-pro-v1:0" },
          ],
        },
        small: { maxOutputTokensLimit: 100, maxOutputTokens: 100, deployments: [novaLite] },
        other: { deployments: [{ ...novaLite, region: "us-east-1" }] },
        elsewhere: { contextTokens: 600, maxOutputTokens: 500, deployments: [{ ...novaLite, region: "ap-south-1" }] },
      },
      defaultModel: "main",
      tenants: { acme: { regions: ["eu-west-1", "eu-north-1"], weight: 2 } },
    });
  });

  test("fallback models of the configuration are used unless the job names its own, and only those that can take the job", async () => {
    const [brief, long, none, one] = await submit(own, [
      asking("a", { maxTokens: 50 }),
      asking("word ".repeat(1000), { maxTokens: 200 }),
      asking("a", { fallbackModels: [] }),
      asking("a", { fallbackModels: ["other"] }),
    ]);
    expect(brief!.fallbackModels).toEqual(["elsewhere", "small", "other"]);
    expect(long!.fallbackModels).toEqual(["other"]);
    expect(none!.fallbackModels).toEqual([]);
    expect(one!.fallbackModels).toEqual(["other"]);
  });

  test("a tenant's jobs go only to its regions, and a key's only to those of the key, whatever they ask for", async () => {
    const acme = { ...keylessCaller, tenant: "acme" };
    const regionsOf = async (regions: string[] | undefined, caller: Caller) =>
      (await submit(own, [asking("a", regions ? { regions } : {})], caller))[0]!.regions;
    expect(await regionsOf(undefined, acme)).toEqual(["eu-west-1", "eu-north-1"]);
    expect(await regionsOf(["us-east-1", "eu-west-1"], acme)).toEqual(["eu-west-1"]);
    expect(await regionsOf(undefined, { ...acme, regions: ["us-east-1", "eu-west-1"] })).toEqual(["eu-west-1"]);
    expect(await regionsOf(undefined, keylessCaller)).toBeUndefined();
    await expect(regionsOf(["us-east-1"], acme)).rejects.toMatchObject({
      code: "forbidden",
      details: { field: "regions" },
      message: 'The tenant "acme" may not use us-east-1; it may use eu-west-1, eu-north-1.',
    });
    await expect(regionsOf(undefined, { ...acme, regions: ["us-east-1"] })).rejects.toMatchObject({
      code: "forbidden",
    });
  });
});
