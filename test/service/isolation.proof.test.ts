// One request stops no others, and one cause fails none: the whole service against servers that refuse some requests, or
// all of them, in words that are known and in words that are not.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import type { FileSettings } from "../../src/config/config-schema.ts";
import { startService } from "../../src/service/start-service.ts";
import * as bedrock from "../providers/fake-bedrock.ts";
import * as openai from "../providers/fake-openai.ts";
import { testSettings } from "../support/jobs-context.ts";

let chat: openai.FakeOpenAi;
let converse: bedrock.FakeBedrock;
beforeAll(async () => {
  chat = await openai.startFakeOpenAi();
  converse = await bedrock.startFakeBedrock();
});
afterAll(async () => {
  await chat.close();
  await converse.close();
});
beforeEach(() => {
  vi.stubEnv("AWS_EC2_METADATA_DISABLED", "true");
  vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIA");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "secret");
  onTestFinished(() => void vi.unstubAllEnvs());
});

type Models = NonNullable<FileSettings["models"]>;

// biome-ignore lint/suspicious/noExplicitAny: tests compare it with what they expect
type Answer = any;

async function start(models: Models) {
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-isolation-"));
  const logged: { level: number; msg: string; deployment?: string; reason?: string }[] = [];
  const log = pino({ level: "info" }, { write: (line: string) => logged.push(JSON.parse(line)) });
  const settings = { ...testSettings({ models, defaultModel: "m" }), dataDir, port: 0 };
  const service = await startService(settings, { log });
  onTestFinished(async () => {
    await service.stop();
    await rm(dataDir, { recursive: true, force: true });
  });
  const get = async (path: string) => (await (await fetch(`${service.url}${path}`)).json()) as Answer;
  const post = async (path: string, body: object = {}) => {
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${service.url}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
    return (await response.json()) as Answer;
  };
  return {
    get,
    post,
    submit: async (prompt: string, more: object = {}): Promise<string> =>
      (await post("/v1/jobs", { prompt, environment: "UAT", ...more })).job_id,
    end: (id: string) => get(`/v1/jobs/${id}?wait=30`),
    states: async () => (await get("/v1/deployments")).deployments.map((d: Answer) => d.state) as string[],
    told: () => logged.filter(({ msg }) => msg.includes(" deployment")).map(({ msg }) => msg),
  };
}

const server = (modelId = "some-model") => ({ provider: "openai" as const, baseUrl: chat.url, modelId });
const oneServer = (): Models => ({ m: { maxOutputTokens: 100, deployments: [server()] } });
const oneRegion = (): Models => ({
  m: {
    maxOutputTokens: 100,
    deployments: [{ region: "us-east-1", modelId: "amazon.nova-pro-v1:0", endpoint: converse.url }],
  },
});

/** Refuses prompts that contain "poison", and answers the others. */
function refusePoison(refusal: openai.Handler): void {
  chat.respond((res) => {
    const isPoison = JSON.stringify(chat.requests.at(-1)!.body).includes("poison");
    (isPoison ? refusal : openai.stream(openai.wholeAnswer))(res);
  });
}

const noEndpoint = "No endpoints found that support tool use";

test.each([
  ["words that are known", openai.json(404, { error: { message: noEndpoint, code: 404 } }), noEndpoint],
  ["words that are not, with 404", openai.json(404, { error: { message: "Not for you.", code: 404 } }), "Not for you."],
  ["words that are not, with 403", openai.refusal(403, { message: "Not for you." }), "Not for you."],
])("B1: poison that is refused in %s fails with them; the others are served", async (_, refusal, words) => {
  refusePoison(refusal);
  const { submit, end, states, told } = await start(oneServer());
  const poison = await submit("poison");
  const others = await Promise.all(Array.from({ length: 20 }, (_, i) => submit(`prompt ${i}`)));
  for (const id of others) expect(await end(id)).toMatchObject({ status: "completed" });
  expect(await end(poison)).toMatchObject({ status: "failed", error: { code: "provider_rejected", message: words } });
  expect(await states()).toEqual(["in_service"]);
  expect(told()).toEqual([]);
});

test.each([
  [
    "HTTP 200 and an error event with a code",
    openai.stream([{ error: { message: "Invalid model input xyz", code: 400 } }]),
    "Invalid model input xyz",
  ],
  ["HTTP 200 without choices", openai.json(200, { choices: null }), /not a chat completion/],
  ["a redirect", openai.plain(302, "text/plain", "Gone there.", { location: "http://elsewhere" }), "Gone there."],
  ["405", openai.plain(405, "text/plain", "Not so."), "Not so."],
])("B1: poison that is answered with %s fails; the others are served", async (_, refusal, words) => {
  refusePoison(refusal);
  const { submit, end, states, told } = await start(oneServer());
  const poison = await submit("poison");
  const others = await Promise.all(Array.from({ length: 6 }, (_, i) => submit(`prompt ${i}`)));
  for (const id of others) expect(await end(id)).toMatchObject({ status: "completed" });
  const message = typeof words === "string" ? words : expect.stringMatching(words);
  expect(await end(poison)).toMatchObject({ status: "failed", error: { message } });
  expect(await states()).toEqual(["in_service"]);
  expect(told()).toEqual([]);
});

test("B1: with three deployments and a fallback none goes out of service", async () => {
  refusePoison(openai.json(404, { error: { message: "Not for you.", code: 404 } }));
  const { submit, end, states, told } = await start({
    m: { maxOutputTokens: 100, deployments: [server("a"), server("b"), server("c")] },
    other: { maxOutputTokens: 100, deployments: [server("d")] },
  });
  const fallbacks = { fallback_models: ["other"] };
  const poison = await submit("poison", fallbacks);
  const others = await Promise.all(Array.from({ length: 20 }, (_, i) => submit(`prompt ${i}`, fallbacks)));
  for (const id of others) expect(await end(id)).toMatchObject({ status: "completed", attempts: [{ model: "m" }] });
  expect(await end(poison)).toMatchObject({ status: "failed", error: { message: "Not for you." } });
  expect(await states()).toEqual(Array(4).fill("in_service"));
  expect(told()).toEqual([]);
});

test("B2: a job whose own guardrail is forbidden fails; the others run", async () => {
  const words =
    "User: bob is not authorized to perform: bedrock:ApplyGuardrail on resource: arn:aws:bedrock:us-east-1:1:guardrail/g1";
  converse.respond((res, req) => {
    const isGuarded = JSON.stringify(converse.requests.at(-1)!.body).includes("guardrailIdentifier");
    const denied = bedrock.json(403, { message: words }, { "x-amzn-errortype": "AccessDeniedException" });
    (isGuarded ? denied : bedrock.stream(bedrock.wholeAnswer))(res, req);
  });
  const { submit, end, states, told } = await start(oneRegion());
  const guarded = await submit("hello", { guardrail: { id: "g1", version: "1" } });
  const others = await Promise.all([submit("one"), submit("two"), submit("three")]);
  for (const id of others) expect(await end(id)).toMatchObject({ status: "completed" });
  expect(await end(guarded)).toMatchObject({ status: "failed", error: { code: "provider_rejected", message: words } });
  expect(await states()).toEqual(["in_service"]);
  expect(told()).toEqual([]);
});

const invalid = (message: string) =>
  bedrock.json(400, { message }, { "x-amzn-errortype": "ValidationException" }) as () => void;

test.each([
  ["B3: Operation not allowed", "Operation not allowed", oneRegion, /open a support case/],
  [
    "B3: an account that is not authorized",
    "Your account is not authorized to invoke this API operation.",
    oneRegion,
    /Check that the account has access to the model/,
  ],
  ["B4: no credit", "Your credit balance is too low to access the Anthropic API.", oneServer, /Check its billing/],
  ["B4: a key that is not valid", "API key not valid. Please pass a valid API key.", oneServer, /apiKeyEnv/],
  ["unknown words with 403", "Go away.", oneServer, /does not allow the call/],
])("%s, for every call: out of service, and no job fails", async (what, words, models, advice) => {
  const status = what.includes("403") ? 403 : 400;
  chat.respond(openai.refusal(status, { message: words }));
  converse.respond(invalid(words));
  const { submit, end, get, post, told } = await start(models());
  const jobs = await Promise.all(Array.from({ length: 50 }, (_, i) => submit(`prompt ${i}`)));
  const deployment = async () => (await get("/v1/deployments")).deployments[0];
  await expect.poll(deployment, { timeout: 15_000 }).toMatchObject({
    state: "out_of_service",
    reason: expect.stringMatching(advice),
  });
  expect((await deployment()).reason).toContain(words);
  for (const id of jobs) {
    await expect
      .poll(() => get(`/v1/jobs/${id}`), { timeout: 15_000 })
      .toMatchObject({ status: "queued", error: null });
  }
  expect((await get(`/v1/jobs/${jobs[49]}`)).waiting_on.reason).toContain(words);

  chat.respond(openai.stream(openai.wholeAnswer));
  converse.respond(bedrock.stream(bedrock.wholeAnswer));
  await post(`/v1/deployments/${encodeURIComponent((await deployment()).id)}/reinstate`);
  for (const id of jobs) expect(await end(id)).toMatchObject({ status: "completed" });
  expect(told()).toEqual(["took deployment out of service", "returned deployment to service"]);
});
