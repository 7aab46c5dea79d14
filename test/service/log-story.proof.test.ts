// What the log of a service tells at level info: the real service, with a provider that the test scripts.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Settings } from "../../src/config/settings.ts";
import { canonicalPart } from "../../src/domain/request.ts";
import { type Provider, type ProviderAnswer, ProviderError } from "../../src/providers/provider.ts";
import { createLog } from "../../src/service/log.ts";
import { type Service, startService } from "../../src/service/start-service.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { testSettings } from "../support/jobs-context.ts";

let settings: Settings;
let service: Service | undefined;
const lines: Record<string, unknown>[] = [];

beforeAll(async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-story-"));
  settings = { ...testSettings(), dataDir, port: 0 };
});
afterAll(async () => {
  await service?.stop();
  await rm(settings.dataDir, { recursive: true, force: true });
});

const answer: ProviderAnswer = {
  text: "a secret answer",
  toolCalls: [],
  finishReason: "stop",
  usage: { input: 10, output: 5 },
};

/** Fails prompts that contain `bad`, in words that quote them; the deployment is overloaded once for `busy`. */
function provider(): Provider {
  let busy = true;
  return {
    async call({ request }) {
      const [block] = canonicalPart(request).messages.at(-1)!.content;
      const text = block?.type === "text" ? block.text : "";
      if (text.includes("bad")) {
        const message = `The model refuses "${text}".`;
        throw new ProviderError({ kind: "permanent", code: "provider_rejected", message, maybeBilled: false });
      }
      if (text.includes("busy") && busy) {
        busy = false;
        const message = "The model is overloaded.";
        throw new ProviderError({
          kind: "capacity",
          code: "model_unavailable",
          message,
          maybeBilled: false,
          retryAfterMs: 10,
        });
      }
      return answer;
    },
    close: async () => {},
  };
}

async function start(): Promise<string> {
  const log = createLog("info", { write: (line) => void lines.push(JSON.parse(line)) });
  service = await startService(settings, { log, createProvider: provider });
  return service.url!;
}

async function post(path: string, body: object) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  // biome-ignore lint/suspicious/noExplicitAny: tests compare it with what they expect
  return (await response.json()) as any;
}

const told = (msg: string) => lines.filter((line) => line.msg === msg);
const once = (msg: string) => expect.poll(() => told(msg).length, { timeout: 15_000 }).toBe(1);

test("F2: the log tells the story of a day, one line each, without texts", async () => {
  const url = await start();
  expect(told("started Sluice")).toEqual([
    expect.objectContaining({ level: 30, role: "all", url, environments: ["UAT", "PROD"] }),
  ]);
  expect(told("recovered from an unclean stop")).toEqual([]);

  const submit = (prompt: string) => post(`${url}/v1/jobs`, { prompt, environment: "UAT" });
  const { job_id: failed } = await submit("a bad secret");
  await once("failed a job");
  expect(told("failed a job")[0]).toMatchObject({
    level: 30,
    jobId: failed,
    model: "llama3-3-70b",
    code: "provider_rejected",
  });
  await submit("busy secret");
  await once("returned deployment to service");
  expect(told("started to cool down deployment")).toEqual([
    expect.objectContaining({ deployment: expect.stringContaining("llama3-3"), reason: "The model is overloaded." }),
  ]);

  const line = (id: string, content: string) => ({
    custom_id: id,
    method: "POST",
    url: "/v1/chat/completions",
    body: { model: "nova-lite", messages: [{ role: "user", content }] },
  });
  const form = new FormData();
  const jsonl = [line("a", "a good secret"), line("b", "a bad secret")].map((l) => JSON.stringify(l)).join("\n");
  form.append("purpose", "batch");
  form.append("file", new Blob([jsonl]), "in.jsonl");
  const file = (await (await fetch(`${url}/v1/files`, { method: "POST", body: form })).json()) as { id: string };
  const batch = { input_file_id: file.id, endpoint: "/v1/chat/completions", completion_window: "24h" };
  const { id: batchId } = await post(`${url}/v1/batches`, batch);
  await once("ended a batch");
  expect(told("started a batch")).toEqual([expect.objectContaining({ batchId, environment: "UAT", lines: 2 })]);
  expect(told("ended a batch")).toEqual([
    expect.objectContaining({
      batchId,
      status: "completed",
      lines: 2,
      completed: 1,
      failed: 1,
      expired: 0,
      cancelled: 0,
    }),
  ]);
  expect(told("failed a job")).toEqual([expect.anything(), expect.objectContaining({ batchId })]);

  await post(`${url}/v1/pause`, { model: "nova-lite", reason: "maintenance" });
  expect(told("paused calls")).toEqual([expect.objectContaining({ model: "nova-lite", reason: "maintenance" })]);
  await post(`${url}/v1/resume`, { model: "nova-lite" });
  expect(told("resumed calls")).toHaveLength(1);
  await service!.stop();
  expect(lines.slice(-2).map(({ msg }) => msg)).toEqual(["stopping Sluice", "stopped Sluice"]);

  expect(JSON.stringify(lines)).not.toContain("secret");
  for (const { msg } of lines)
    expect(msg).toMatch(/^[a-z]+ed |^[a-z]+ing |^found |^gave |^took |^lost |^caught |^rebuilt /);
});

test("F2: after a kill one line has the number of calls that run again, and each of them has one", async () => {
  const store = await openSqliteStore({ dataDir: settings.dataDir, environments: settings.environments });
  const { items } = await store.list({ limit: 10 });
  const stored = (await store.get(items[0]!.job.id))!.job.request;
  const request = {
    ...stored,
    messages: [{ role: "user" as const, content: [{ type: "text" as const, text: "again" }] }],
  };
  const environment = "UAT";
  const made = ["retry", "retry", "fail"] as const;
  const jobs = made.map((onUnknown, i) => {
    const { batchId: _, customId: _line, ...head } = items[0]!.job;
    return { ...head, environment, onUnknown, id: crypto.randomUUID(), submittedAt: Date.now() + i, request };
  });
  await store.insertMany(jobs);
  for (const { id: jobId, model, tokens } of jobs) {
    await store.beginAttempt({
      ...{ environment, jobId, model, grant: crypto.randomUUID(), deployment: "d", worker: "w" },
      ...{ chargedAt: Date.now(), reserved: tokens, maxFailedTries: 3 },
    });
  }
  await store.close();
  // What a stop removes.
  await writeFile(join(settings.dataDir, "sluice.pid"), "1\n");
  lines.length = 0;
  await start();
  await expect.poll(() => told("started to repeat a call whose result is unknown").length, { timeout: 15_000 }).toBe(2);
  expect(told("recovered from an unclean stop")).toEqual([expect.objectContaining({ level: 40, callsToRepeat: 2 })]);
  expect(
    told("started to repeat a call whose result is unknown")
      .map(({ jobId }) => jobId)
      .sort(),
  ).toEqual([jobs[0]!.id, jobs[1]!.id].sort());
  await once("failed a job");
  expect(told("failed a job")[0]).toMatchObject({ jobId: jobs[2]!.id, code: "unknown_end" });
});
