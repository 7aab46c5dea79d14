// A trace through four processes: the submitter, the API, and two workers of which the first stops after its call was
// throttled. A collector in this process receives it, with every wait split by its reasons.
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import type { Job } from "../../src/client/index.ts";
import {
  type FakeOpenAi,
  type Handler,
  json,
  refusal,
  startFakeOpenAi,
  stream,
  text,
  wholeAnswer,
} from "../providers/fake-openai.ts";
import { startMongo, startRedis, withoutMongo, withoutRedis } from "../support/servers.ts";
import { type SluiceProcess, startSluice } from "../support/sluice-process.ts";
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from "../telemetry/otlp-receiver.ts";

const traceId = "0af7651916cd43dd8448eb211c80319c";
const parentId = "b7ad6b7169203331";
const trace = { traceparent: `00-${traceId}-${parentId}-01`, tracestate: "vendor=1" };
const timeout = 60_000;
const within = { timeout, interval: 20 };

describe.skipIf(withoutRedis() || withoutMongo())("a trace", () => {
  const cleanups: (() => unknown)[] = [];
  let collector: OtlpReceiver;
  let model: FakeOpenAi;
  let api: SluiceProcess;
  let startOne: (...args: string[]) => Promise<SluiceProcess>;

  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), "sluice-traces-"));
    const [redis, mongo] = await Promise.all([startRedis(), startMongo()]);
    collector = await startOtlpReceiver();
    model = await startFakeOpenAi();
    cleanups.push(
      () => rm(folder, { recursive: true, force: true }),
      () => Promise.all([redis.close(), mongo.close(), collector.close(), model.close()]),
    );
    const quotas = [{ unit: "requests", per: "minute", limit: 1_000, burst: 1_000 }];
    const deployments = [
      { provider: "openai", modelId: "x", baseUrl: model.url, apiKeyEnv: "MODEL_KEY", quotas, name: "fake" },
    ];
    await writeFile(
      join(folder, "sluice.yaml"),
      stringify({
        models: { m: { contextTokens: 10_000, maxOutputTokens: 100, deployments } },
        worker: { backoffBaseMs: 1 },
      }),
    );
    const env = {
      ...process.env,
      MONGODB_URL: mongo.url,
      REDIS_URL: redis.url,
      MODEL_KEY: "planted-model-key",
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_EXPORTER_OTLP_HEADERS: "x-collector-key=planted-collector-key",
      OTEL_RESOURCE_ATTRIBUTES: "deployment.environment.name=test",
      OTEL_BSP_SCHEDULE_DELAY: "100",
    };
    startOne = async (...args) => {
      const started = await startSluice(args, { cwd: folder, env });
      cleanups.push(() => started.child.kill("SIGKILL"));
      return started;
    };
    api = await startOne("api", "--port", "0");
  }, timeout);

  afterAll(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });

  async function call(path: string, body: object, headers: Record<string, string> = {}): Promise<Job> {
    const response = await fetch(`${api.url}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
    });
    expect(response.status).toBe(200);
    return (await response.json()) as Job;
  }

  const jobOf = async (id: string, query = "") =>
    (await (await fetch(`${api.url}/v1/jobs/${id}${query}`)).json()) as Job;

  test("of a job that waited, was throttled and retried, with its waits by their reasons", { timeout }, async () => {
    const answers: Handler[] = [
      refusal(
        429,
        { code: "rate_limit_exceeded", message: "Rate limit reached: planted refusal" },
        { "retry-after": "4" },
      ),
      json(500, { error: { message: "planted failure" } }),
      stream([text("planted answer"), ...wholeAnswer]),
    ];
    let calls = 0;
    let answerFirst = () => {};
    model.respond((response) => {
      const answer = () => answers[Math.min(calls - 1, 2)]!(response);
      if (++calls === 1) answerFirst = answer;
      else answer();
    });

    await call("/v1/pause", { model: "m", reason: "planted reason" });
    const first = await startOne("worker");
    const { job_id } = await call(
      "/v1/jobs",
      { prompt: "planted prompt", system: "planted system", environment: "UAT", metadata: { planted: "label" } },
      trace,
    );
    await expect.poll(async () => (await jobOf(job_id)).waiting_on?.kind, within).toBe("paused");
    // The wait becomes longer than what is not split.
    await expect
      .poll(async () => Date.now() - Date.parse((await jobOf(job_id)).created_at), within)
      .toBeGreaterThan(3_000);
    await call("/v1/resume", { model: "m" });

    // The first process ends with its call, so the other one makes the next calls.
    await expect.poll(() => calls, within).toBe(1);
    const second = await startOne("worker");
    let printed = "";
    first.child.stdout!.on("data", (chunk) => (printed += chunk));
    first.child.kill("SIGTERM");
    await expect.poll(() => printed, within).toContain("stopping Sluice");
    answerFirst();
    await once(first.child, "exit");
    const job = await jobOf(job_id, "?wait=60");
    expect(job).toMatchObject({ status: "completed" });
    expect(job.attempts.map(({ result }) => result)).toEqual(["throttled", "transient", "completed"]);

    const expected = ["send UAT", "queue", "chat x", "queue", "chat x", "queue", "chat x"];
    await expect.poll(() => collector.spans().map(({ name }) => name), within).toEqual(expected);
    const [send, ...rest] = collector.spans() as [ReceivedSpan, ...ReceivedSpan[]];
    expect(send).toMatchObject({ kind: 4, traceId, parentId, failure: undefined });
    for (const span of rest) expect(span).toMatchObject({ traceId, parentId: send.spanId, links: [] });
    for (const span of collector.spans()) {
      expect(span.resource).toMatchObject({ "service.name": "sluice", "deployment.environment.name": "test" });
      expect(span.attributes).toMatchObject({ "sluice.job.id": job_id });
    }
    const waits = rest.filter(({ name }) => name === "queue");
    const chats = rest.filter(({ name }) => name === "chat x");
    expect(chats.map(({ kind }) => kind)).toEqual([3, 3, 3]);
    expect(chats.map(({ failure }) => failure)).toEqual(["throttled", "model_unavailable", undefined]);
    expect(chats[2]!.attributes).toMatchObject({
      "gen_ai.provider.name": "openai",
      "gen_ai.request.model": "x",
      "server.address": "127.0.0.1",
      "sluice.attempt": 3,
      "sluice.result": "completed",
    });
    // The first attempt ran in one process and the others in another one.
    const workers = chats.map(({ attributes }) => attributes["sluice.worker"]);
    expect(workers[1]).toBe(workers[2]);
    expect(workers[0]).not.toBe(workers[1]);
    expect(String(workers[0])).toContain(String(first.child.pid));
    expect(String(workers[1])).toContain(String(second.child.pid));

    for (const [i, { attributes, events, durationMs }] of waits.entries()) {
      const { waited_ms, waited } = job.attempts[i]!;
      expect(durationMs).toBe(waited_ms);
      expect(waited.reduce((sum, { ms }) => sum + ms, 0)).toBe(waited_ms);
      expect(events.map((one) => one.attributes["sluice.wait.ms"])).toEqual(waited.map(({ ms }) => ms));
      for (const { kind } of waited) expect(attributes[`sluice.wait.${kind}_ms`]).toBeGreaterThan(0);
    }
    expect(waits[0]!.attributes["sluice.wait.paused_ms"]).toBeGreaterThan(1_000);
    expect(waits[1]!.attributes["sluice.wait.quota_ms"]).toBeGreaterThan(1_000);
    expect(job.attempts[1]!.waited).toContainEqual(
      expect.objectContaining({ kind: "quota", subject: expect.stringContaining("requests") }),
    );

    // The server is called within each span.
    expect(model.requests.map(({ headers }) => headers.traceparent)).toEqual(
      chats.map(({ spanId }) => `00-${traceId}-${spanId}-01`),
    );
    expect(model.requests.map(({ headers }) => headers.tracestate)).toEqual(["vendor=1", "vendor=1", "vendor=1"]);
    expect(collector.headers[0]).toMatchObject({ "x-collector-key": "planted-collector-key" });
    expect(collector.texts.join("\n")).not.toContain("planted");
  });

  test("nothing of a job whose submitter does not sample", { timeout }, async () => {
    model.respond(stream(wholeAnswer));
    const before = collector.spans().length;
    const notSampled = { traceparent: `00-${traceId}-${parentId}-00` };
    const { job_id } = await call("/v1/jobs", { prompt: "Hello?", environment: "UAT" }, notSampled);
    expect(await jobOf(job_id, "?wait=60")).toMatchObject({ status: "completed" });
    const sampled = await call("/v1/jobs", { prompt: "Hello?", environment: "UAT" }, trace);
    await expect
      .poll(() => collector.spans().filter(({ attributes }) => attributes["sluice.job.id"] === sampled.job_id), within)
      .toHaveLength(3);
    expect(collector.spans()).toHaveLength(before + 3);
    expect(model.requests.at(-2)!.headers.traceparent).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`));
  });
});
