// A model that is removed from the configuration while jobs wait for it, through the whole service.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { expect, onTestFinished, test } from "vitest";
import { startService } from "../../src/service/start-service.ts";
import { testSettings } from "../support/jobs-context.ts";

const served = { maxOutputTokens: 100, deployments: [{ region: "us-east-1", modelId: "amazon.nova-pro-v1:0" }] };
const other = { maxOutputTokens: 100, deployments: [{ region: "us-east-1", modelId: "amazon.nova-lite-v1:0" }] };

// biome-ignore lint/suspicious/noExplicitAny: tests compare it with what they expect
type Answer = any;

async function start(missingModelWaitMs: number) {
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-missing-"));
  const logged: Record<string, unknown>[] = [];
  const log = pino({ level: "info" }, { write: (line: string) => logged.push(JSON.parse(line)) });
  const settingsOf = (models: Record<string, typeof served>) => ({
    ...testSettings({ models, defaultModel: "m", scheduler: { missingModelWaitMs } }),
    dataDir,
    port: 0,
  });
  let models: Record<string, typeof served> = { m: served, old: other };
  const answer = { text: "hi", toolCalls: [], finishReason: "stop" as const, usage: { input: 1, output: 1 } };
  const service = await startService(settingsOf(models), {
    log,
    readSettings: async () => settingsOf(models),
    createProvider: () => ({ call: async () => answer, close: async () => {} }),
  });
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
  await post("/v1/pause", { model: "old" });
  const submit = async () => (await post("/v1/jobs", { prompt: "hello", environment: "UAT", model: "old" })).job_id;
  const jobs: string[] = [await submit(), await submit()];
  const reload = (next: typeof models) => {
    models = next;
    return post("/v1/config/reload");
  };
  return { get, post, jobs, reload, logged };
}

test("B7: the reload, the log and readyz name the model and count its jobs, which run when it is back", async () => {
  const { get, post, jobs, reload, logged } = await start(3_600_000);
  expect(await reload({ m: served })).toMatchObject({
    waiting_for_missing_models: [{ model: "old", jobs: 2, fail_in_s: expect.any(Number) }],
  });
  expect(logged).toContainEqual(
    expect.objectContaining({ msg: "found jobs of a model that no deployment serves", model: "old", jobs: 2 }),
  );
  expect(await get("/readyz")).toEqual({
    status: "degraded",
    reasons: ["no deployment serves old (jobs that wait for it: 2)"],
  });
  expect(await get(`/v1/jobs/${jobs[0]}`)).toMatchObject({ status: "queued", waiting_on: { kind: "configuration" } });

  expect(await reload({ m: served, old: other })).toMatchObject({ waiting_for_missing_models: [] });
  expect(await get("/readyz")).toEqual({ status: "ok", reasons: [] });
  await post("/v1/resume", { model: "old" });
  for (const id of jobs) expect(await get(`/v1/jobs/${id}?wait=30`)).toMatchObject({ status: "completed" });
});

test("B7: jobs whose model does not come back fail with the model's name, and readyz is well again", async () => {
  const { get, jobs, reload } = await start(500);
  await reload({ m: served });
  for (const id of jobs) {
    expect(await get(`/v1/jobs/${id}?wait=30`)).toMatchObject({
      status: "failed",
      error: {
        code: "unknown_model",
        message: expect.stringMatching(/no model old\..*missingModelWaitMs.*one of: m\./),
      },
    });
  }
  expect(await get("/readyz")).toEqual({ status: "ok", reasons: [] });
});
