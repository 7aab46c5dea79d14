// The composition: what a start opens is closed again, whether it fails or is stopped.
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Settings } from "../../src/config/settings.ts";
import { type Provider, ProviderError } from "../../src/providers/provider.ts";
import { type Service, type StartOptions, startService } from "../../src/service/start-service.ts";
import { testSettings } from "../support/jobs-context.ts";

let settings: Settings;
const services: Service[] = [];

beforeEach(async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-main-"));
  settings = { ...testSettings(), dataDir, port: 0, logLevel: "silent", simulator: true };
});

afterEach(async () => {
  await Promise.all(services.splice(0).map((service) => service.stop()));
  await rm(settings.dataDir, { recursive: true, force: true });
});

async function start(options: StartOptions = {}): Promise<Service> {
  const service = await startService(settings, options);
  services.push(service);
  return service;
}

async function enqueue({ url }: Service, prompt: string): Promise<string> {
  const response = await fetch(`${url}/enqueue`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ prompt, environment: "UAT" }),
  });
  return ((await response.json()) as { job_id: string }).job_id;
}

test("a start is refused while the archive cannot be written, and leaves nothing open", async () => {
  const { retention, dataDir } = settings;
  settings = { ...settings, retention: { ...retention, archive: join(dataDir, "archive") } };
  await expect(start()).rejects.toThrow(/is in the data folder/);
  settings = { ...settings, retention };
  await start();
});

const read = async ({ url }: Service, jobId: string, wait = 0) =>
  (await (await fetch(`${url}/v1/jobs/${jobId}?wait=${wait}`)).json()) as { status: string; attempts: unknown[] };

test("a prompt goes from HTTP through the real SDK and the simulator to a stored answer", async () => {
  const service = await start();
  expect(await read(service, await enqueue(service, "hello"), 20)).toMatchObject({
    status: "completed",
    text: expect.stringContaining("synthetic"),
    attempts: [{ result: "completed" }],
  });
});

test("a truncated answer says so, and how fast it came; tools do not keep a model that cannot stream them from answering", async () => {
  const service = await start();
  const ask = async (fields: object) => {
    const response = await fetch(`${service.url}/v1/jobs`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ prompt: "hello", environment: "UAT", ...fields }),
    });
    return read(service, ((await response.json()) as { job_id: string }).job_id, 20);
  };
  expect(await ask({ max_tokens: 7 })).toMatchObject({
    status: "completed",
    finish_reason: "length",
    usage: { output_tokens: 7 },
    attempts: [{ first_token_ms: expect.any(Number), tokens_per_second: expect.any(Number) }],
  });
  const tools = [{ name: "clock", input_schema: { type: "object" } }];
  expect(await ask({ tools })).toMatchObject({
    status: "completed",
    finish_reason: "tool_calls",
    attempts: [{ result: "completed", first_token_ms: null }],
  });
});

test("F15: a start says in the log which database still has unfinished jobs after it was renamed", async () => {
  const failure = { kind: "aborted", code: "cancelled", message: "The call was aborted.", maybeBilled: true } as const;
  // The job may have been granted by the time the service stops, and the call then has to end.
  const call: Provider["call"] = ({ signal }) =>
    new Promise((_, fail) => signal.addEventListener("abort", () => fail(new ProviderError(failure))));
  const provider = { call, close: async () => {} };
  const lines: { level: number; msg: string; database?: string; jobs?: number }[] = [];
  const log = pino({ level: "warn" }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  settings.worker = { ...settings.worker, drainMs: 0 };
  const first = await startService(settings, { createProvider: () => provider });
  await enqueue(first, "hello");
  await first.stop();
  const { database: old } = settings.environments.UAT!;
  settings.environments = { ...settings.environments, UAT: { database: "SSP-new", weight: 1 } };
  const second = await startService(settings, { log, createProvider: () => provider });
  await second.stop();
  expect(lines.filter(({ database }) => database === old)).toEqual([
    expect.objectContaining({
      level: 40,
      msg: "found unfinished jobs that no environment runs",
      environment: "UAT",
      jobs: 1,
      advice: expect.stringContaining(old),
    }),
  ]);
});

test("a deployment whose model is Legacy is announced in the log, by the clock that is passed in", async () => {
  const provider = { call: () => new Promise<never>(() => {}), close: async () => {} };
  const announced = async (day: string) => {
    const lines: { deployment?: string; reason: string }[] = [];
    const log = pino({ level: "warn" }, { write: (line: string) => void lines.push(JSON.parse(line)) });
    const clock = { now: () => performance.now(), wall: () => Date.parse(day) };
    const service = await startService(
      { ...settings, simulator: false },
      { log, clock, createProvider: () => provider },
    );
    await service.stop();
    return lines.filter(({ deployment }) => deployment !== undefined).map(({ reason }) => reason);
  };
  expect(await announced("2026-11-27")).toEqual([expect.stringContaining("is Legacy, end of life on 2027-03-30")]);
  expect(await announced("2027-04-01")).toEqual([expect.stringContaining("reached its end of life on 2027-03-30")]);
});

test("a port that is taken fails the start and leaves the data folder free", async () => {
  const other = createServer();
  await new Promise<void>((listening) => other.listen(0, "127.0.0.1", listening));
  const { port } = other.address() as { port: number };
  await expect(startService({ ...settings, port })).rejects.toThrow("EADDRINUSE");
  other.close();
  await start();
});

test("a data folder that is in use fails the start and does not disturb its owner", async () => {
  const service = await start();
  await expect(startService(settings)).rejects.toThrow(/in use/);
  expect((await read(service, await enqueue(service, "hello"), 20)).status).toBe("completed");
});

test("a stop lets running calls end, frees the data folder, and the next start goes on", async () => {
  const answers: (() => void)[] = [];
  const service = await start({
    createProvider: () => ({
      call: () =>
        new Promise((resolve) => {
          answers.push(() => resolve({ text: "at last", toolCalls: [], finishReason: "stop" }));
        }),
      close: async () => {},
    }),
  });
  const running = await enqueue(service, "running");
  await expect.poll(() => answers.length).toBe(1);
  const stopped = service.stop();
  expect(service.stop()).toBe(stopped);
  answers[0]!();
  await stopped;
  await expect(fetch(service.url!)).rejects.toThrow();

  const next = await start();
  expect(await read(next, running)).toMatchObject({ status: "completed", text: "at last" });
});

test("a service that other machines can reach has an API key: the first start creates one, later ones do not", async () => {
  settings = { ...settings, host: "0.0.0.0" };
  const service = await start();
  const url = `http://127.0.0.1:${new URL(service.url!).port}/v1/jobs`;
  const authorization = `Bearer ${service.firstKey}`;
  expect((await fetch(url)).status).toBe(401);
  expect((await fetch(url, { headers: { authorization } })).status).toBe(200);
  await service.stop();
  const again = await start();
  expect(again.firstKey).toBeUndefined();
  await again.stop();
  // The keys hold on loopback as well, until they are switched off.
  settings = { ...settings, host: "127.0.0.1" };
  const local = await start();
  expect((await fetch(`${local.url}/v1/jobs`)).status).toBe(401);
  await local.stop();
  settings = { ...settings, authentication: "off" };
  expect((await fetch(`${(await start()).url}/v1/jobs`)).status).toBe(200);
});
