// A laptop without AWS: the example of docs/providers.md, as it stands there but for the address, from POST /enqueue to the
// stored answer. The command is the real one; in place of Ollama, the simulator speaks OpenAI's API.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { DatabaseSync } from "@photostructure/sqlite";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { type Service, startService } from "../../src/service/start-service.ts";
import { type Simulator, startSimulator } from "../../src/simulator/simulator.ts";
import { start } from "../cli/support.ts";
import { load } from "../config/support.ts";

const docs = readFileSync(resolve(import.meta.dirname, "../../docs/providers.md"), "utf8");
const examples = [...docs.matchAll(/^```yaml\n(.*?)^```$/gms)].map((match) => match[1]!);
const [ollama] = examples;

let folder: string;
let simulator: Simulator;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-local-"));
});
afterEach(async () => {
  await simulator?.stop();
  rmSync(folder, { recursive: true, force: true });
});

interface JobView {
  status: string;
  text: string | null;
  deployment: string | null;
  synthetic: boolean;
  error: { code: string; message: string } | null;
  attempts: { result: string; error: { message: string } | null }[];
}

async function enqueue(url: string, prompt: string): Promise<string> {
  const response = await fetch(`${url}/enqueue`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ prompt, environment: "UAT" }),
  });
  return ((await response.json()) as { job_id: string }).job_id;
}

async function read(url: string, jobId: string, wait = 20): Promise<JobView> {
  return (await (await fetch(`${url}/v1/jobs/${jobId}?wait=${wait}`)).json()) as JobView;
}

test("the examples of the documentation are valid, and only one of them needs AWS's key", async () => {
  expect(examples).toHaveLength(4);
  const keys = { VLLM_API_KEY: "a", OPENAI_API_KEY: "b", AWS_BEARER_TOKEN_BEDROCK: "c" };
  for (const yaml of examples) {
    const { models } = await load({ yaml, env: keys });
    expect(Object.values(models).flatMap((m) => m.deployments.map((d) => d.provider))).toEqual(["openai"]);
  }
});

test("sluice serve with the example for Ollama: no credentials, a real answer in the database", async () => {
  simulator = await startSimulator({ models: { "llama3.3": {} } });
  writeFileSync(join(folder, "sluice.yaml"), ollama!.replace("http://127.0.0.1:11434", simulator.url));
  const { child, ended, printed } = start(["serve"], { cwd: folder, env: { PORT: "0" } });
  const [banner, url] = await printed(/ready on (\S+).*?^ {2}Answers [^\n]*$/ms);
  const { host } = new URL(simulator.url);
  expect(banner).toMatch(new RegExp(`Answers +OpenAI-compatible: ${host}$`));

  const jobId = await enqueue(url!, "Why is the sky blue?");
  const job = await read(url!, jobId);
  expect(job).toMatchObject({
    status: "completed",
    text: expect.stringContaining("You wrote 5 words"),
    deployment: `openai/${host}/llama3.3`,
    // The simulator answers here in place of Ollama, and Sluice does not know that it is one.
    synthetic: false,
    attempts: [{ result: "completed" }],
  });
  expect(simulator.calls).toMatchObject([{ operation: "ChatCompletions", maxTokens: 1024, outcome: "answered" }]);

  child.kill("SIGTERM");
  expect(await ended).toMatchObject({ code: 0 });
  const database = new DatabaseSync(join(folder, "data/SSP-dev.sqlite"), { readOnly: true });
  const row = database.prepare("SELECT text FROM generated_texts WHERE job_id = ?").get(jobId);
  database.close();
  expect(row).toEqual({ text: job.text });
});

describe("within the process", () => {
  let service: Service | undefined;
  afterEach(async () => {
    await service?.stop();
    service = undefined;
  });

  /** One model of one server, with these keys besides. */
  async function serve(deployment: object, env: Record<string, string> = {}, model: object = {}): Promise<string> {
    const deployments = [{ provider: "openai", baseUrl: `${simulator.url}/v1`, modelId: "llama3.3", ...deployment }];
    const yaml = JSON.stringify({ models: { local: { maxOutputTokens: 100, ...model, deployments } } });
    const settings = await load({ yaml, env });
    service = await startService({ ...settings, dataDir: folder, port: 0, logLevel: "silent" }, { env });
    return service.url!;
  }

  test("an answer in one piece", async () => {
    simulator = await startSimulator({ models: { "llama3.3": { streaming: false } } });
    const url = await serve({ streaming: false });
    expect(await read(url, await enqueue(url, "hello"))).toMatchObject({ status: "completed" });
  });

  test("a quota that the configuration does not know of: the 429 is waited out, and no job fails", async () => {
    simulator = await startSimulator({ models: { "llama3.3": {} }, requestsPerMinute: 2, windowMs: 1_500 });
    const url = await serve({ maxConcurrency: 1 });
    const ids = await Promise.all(["a", "b", "c"].map((prompt) => enqueue(url, prompt)));
    for (const id of ids) expect(await read(url, id)).toMatchObject({ status: "completed" });
    expect(simulator.calls.filter((c) => c.outcome === "answered")).toHaveLength(3);
    // The server said when to come again, so it was not asked again before.
    expect(simulator.calls.filter((c) => c.outcome === "throttled").length).toBeLessThanOrEqual(1);
  });

  test("the configured quotas hold calls back before the server would", async () => {
    simulator = await startSimulator({ models: { "llama3.3": {} } });
    const url = await serve({ quotas: [{ unit: "requests", per: "minute", limit: 2 }] });
    const ids = await Promise.all(["a", "b", "c"].map((prompt) => enqueue(url, prompt)));
    const jobs = await Promise.all(ids.map((id, i) => read(url, id, i < 2 ? 20 : 1)));
    expect(jobs.map((job) => job.status).sort()).toEqual(["completed", "completed", "queued"]);
    expect(simulator.callCount).toBe(2);
  });

  test("a model that the server does not have: out of service, and GET /v1/deployments says what to do", async () => {
    simulator = await startSimulator({});
    const url = await serve({});
    const jobId = await enqueue(url, "hello");
    await expect
      .poll(async () => (await read(url, jobId, 0)).attempts[0]?.error?.message, { timeout: 15_000 })
      .toContain("ollama pull llama3.3");
    const { deployments } = (await (await fetch(`${url}/v1/deployments`)).json()) as { deployments: object[] };
    expect(deployments).toMatchObject([
      {
        region: "local",
        state: "out_of_service",
        reason: expect.stringContaining("ollama pull llama3.3"),
      },
    ]);
    expect(await read(url, jobId, 0)).toMatchObject({ status: "queued" });
  });

  test("a key of the environment is sent, and stays out of everything that is shown", async () => {
    simulator = await startSimulator({
      models: { "llama3.3": {} },
      fault: () => ({ kind: "error", error: "AccessDeniedException", message: "No access for sk-very-secret-key" }),
    });
    const url = await serve({ apiKeyEnv: "MY_KEY" }, { MY_KEY: "sk-very-secret-key" });
    const jobId = await enqueue(url, "hello");
    await expect
      .poll(async () => JSON.stringify(await read(url, jobId, 0)), { timeout: 15_000 })
      .toContain("Check the key in MY_KEY");
    const shown = [await read(url, jobId, 0), await (await fetch(`${url}/v1/deployments`)).json()];
    expect(JSON.stringify(shown)).not.toContain("very-secret");
  });

  test("SLUICE_PROVIDER=simulator takes the server's place, without its key", async () => {
    simulator = await startSimulator({});
    const url = await serve({}, { SLUICE_PROVIDER: "simulator" });
    expect(await read(url, await enqueue(url, "hello"))).toMatchObject({
      status: "completed",
      deployment: `simulator/${new URL(simulator.url).host}/llama3.3`,
      synthetic: true,
    });
    expect(simulator.callCount).toBe(0);
  });
});

test("the example's model is the one that it names as its default", () => {
  const { defaultModel, models } = parse(ollama!) as { defaultModel: string; models: object };
  expect(Object.keys(models)).toEqual([defaultModel]);
});
