// GET /metrics: what it holds, in which format, and who may read it.
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SluiceError } from "../../src/domain/errors.ts";
import { createMetricsServer } from "../../src/http/metrics-server.ts";
import { formatFor } from "../../src/http/routes/metrics-routes.ts";
import { keylessCaller } from "../../src/jobs/caller.ts";
import { type ProviderCall, ProviderError } from "../../src/providers/provider.ts";
import { type Service, startService } from "../../src/service/start-service.ts";
import { testSettings } from "../support/jobs-context.ts";

const log = pino({ level: "silent" });

describe("a scrape", () => {
  const secrets = {
    prompt: "planted-prompt-1f3",
    answer: "planted-answer-5c9",
    metadata: "planted-label-77a",
    reason: "planted-reason-c21",
    key: "planted-metrics-key-09b",
    refusal: "planted-refusal-e44",
    refusedPrompt: "planted-prompt-8d2",
  };
  let dataDir: string;
  let service: Service;
  let jobId: string;
  let text: string;
  let families: Map<string, string>;
  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), "sluice-metrics-"));
    const settings = testSettings({ metrics: { port: 0, tenants: 5 } });
    const usage = { input: 7, output: 3 };
    const answer = { text: secrets.answer, toolCalls: [], finishReason: "stop" as const, usage };
    const call = async ({ request }: ProviderCall) => {
      if (!JSON.stringify(request).includes(secrets.refusedPrompt)) return answer;
      const { refusal: message } = secrets;
      throw new ProviderError({ kind: "permanent", code: "provider_rejected", message, maybeBilled: false });
    };
    service = await startService(
      { ...settings, dataDir, port: 0, metricsKey: secrets.key },
      { log, createProvider: () => ({ call, close: async () => {} }) },
    );
    const post = async (path: string, body: object) => {
      const headers = { "content-type": "application/json" };
      const response = await fetch(service.url + path, { method: "POST", headers, body: JSON.stringify(body) });
      return (await response.json()) as { job_id: string };
    };
    await post("/v1/pause", { model: "nova-lite", reason: secrets.reason });
    const job = { prompt: secrets.prompt, environment: "UAT", metadata: { label: secrets.metadata } };
    await post("/v1/jobs", { ...job, model: "nova-lite" });
    ({ job_id: jobId } = await post("/v1/jobs", job));
    const refused = await post("/v1/jobs", { ...job, prompt: secrets.refusedPrompt });
    const end = async (id: string) => (await fetch(`${service.url}/v1/jobs/${id}?wait=30`)).json();
    expect(await end(jobId)).toMatchObject({ status: "completed", text: secrets.answer });
    expect(await end(refused.job_id)).toMatchObject({ status: "failed", error: { message: secrets.refusal } });
    const response = await fetch(service.metricsUrl!, { headers: { authorization: `Bearer ${secrets.key}` } });
    expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    text = await response.text();
    families = new Map(Array.from(text.matchAll(/^# TYPE (\S+) (\S+)$/gm), ([, name, type]) => [name!, type!]));
  });
  afterAll(async () => {
    await service?.stop();
    await rm(dataDir, { recursive: true, force: true });
  });

  test("has the metrics that docs/metrics.md lists, with their types and labels, and no others", () => {
    const page = readFileSync(resolve(import.meta.dirname, "../../docs/metrics.md"), "utf8");
    const rows = [...page.matchAll(/^\| `(\w+)` \| (counter|gauge|histogram) \| (.*?) ?\| (own|shared) \| .+ \|$/gm)];
    expect(rows.map(([, name]) => name).sort()).toEqual([...families.keys()].sort());
    expect(new Map(rows.map(([, name, type]) => [name, type]))).toEqual(new Map([...families]));
    const documented = new Map(
      rows.map(([, name, , labels]) => [name, Array.from(labels!.matchAll(/`(\w+)`/g), ([, label]) => label)]),
    );
    const wrong = Array.from(text.matchAll(/^(\w+?)(?:_bucket|_sum|_count)?(?:\{(.*)\})? \S+$/gm)).flatMap(
      ([line, short, values = ""]) => {
        const name = families.has(short!) ? short! : /^\w+/.exec(line)![0];
        const labels = Array.from(values.matchAll(/(\w+)="(?:\\.|[^"\\])*"/g), ([, label]) => label);
        const own = labels.filter((label) => label !== "le");
        return JSON.stringify(own) === JSON.stringify(documented.get(name)) ? [] : [`${line}: ${documented.get(name)}`];
      },
    );
    expect(wrong).toEqual([]);
  });

  test("counts the work", () => {
    const deployment = 'deployment="bedrock/us-east-1/us.meta.llama3-3-70b-instruct-v1:0"';
    expect(text.split("\n")).toEqual(
      expect.arrayContaining([
        'sluice_jobs_submitted_total{dialect="jobs",environment="UAT",priority="standard"} 3',
        'sluice_jobs_finished_total{environment="UAT",model="llama3-3-70b",outcome="completed"} 1',
        'sluice_jobs_finished_total{environment="UAT",model="llama3-3-70b",outcome="failed"} 1',
        'sluice_wait_seconds_count{priority="standard",model="llama3-3-70b"} 2',
        `sluice_call_seconds_count{${deployment}} 1`,
        `sluice_attempts_total{${deployment},result="completed"} 1`,
        `sluice_attempts_total{${deployment},result="permanent"} 1`,
        `sluice_tokens_total{${deployment},kind="input"} 7`,
        'sluice_tenant_tokens_total{tenant="default",kind="output"} 3',
        'sluice_jobs{environment="UAT",state="queued"} 1',
        'sluice_queue_jobs{environment="UAT",priority="standard",model="nova-lite",state="ready"} 1',
        'sluice_queue_jobs{environment="UAT",priority="standard",model="nova-lite",state="delayed"} 0',
        `sluice_quota_used_requests{quota="bedrock/us-east-1/us.meta.llama3-3-70b-instruct-v1:0:requests/minute",per="minute",kind="settled"} 2`,
        'sluice_paused{kind="model",name="nova-lite"} 1',
        'sluice_store_seconds_count{op="begin_attempt"} 2',
        'sluice_up{part="store"} 1',
        'sluice_up{part="queue"} 1',
      ]),
    );
  });

  test("holds no prompt, answer, label, reason, message of a provider, key or id", () => {
    expect(Object.values({ ...secrets, jobId }).filter((secret) => text.includes(secret))).toEqual([]);
  });

  test("is not served by the HTTP API if it has an address of its own", async () => {
    expect((await fetch(`${service.url}/metrics`)).status).toBe(404);
  });
});

describe("the format", () => {
  test.each([
    [undefined, "prometheus"],
    ["*/*", "prometheus"],
    ["text/plain;version=0.0.4", "prometheus"],
    ["application/openmetrics-text", "openmetrics"],
    [
      "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.3",
      "openmetrics",
    ],
    ['application/openmetrics-text; version="1.0.0"; q=0.2, text/plain; q=0.5', "prometheus"],
    ["application/openmetrics-text;version=0.0.1,text/plain;q=0.1", "prometheus"],
    ["application/openmetrics-text;q=0", "prometheus"],
    ["application/openmetrics-text;q=x", "prometheus"],
  ])("for %s is %s", (accept, format) => {
    expect(formatFor(accept)).toBe(format);
  });
});

describe("access", () => {
  const key = "k".repeat(16);
  const admin = { authorization: "Bearer admin" };
  const scraper = { authorization: `Bearer ${key}` };

  /** Returns the status of a request, and the message of its error. */
  async function statusOf(
    headers: Record<string, string>,
    { on = "127.0.0.1", metricsKey, required = true, authentication = "keys" }: Partial<Access> = {},
  ): Promise<[status: number, message?: string]> {
    const keys = {
      required,
      async authenticate(authorization: string | undefined) {
        if (!required || authorization === admin.authorization) return keylessCaller;
        if (authorization === "Bearer tenant") return { tenant: "acme", admin: false };
        throw new SluiceError("unauthenticated", "The API key is unknown.");
      },
    };
    const settings = { ...testSettings(), authentication, ...(metricsKey !== undefined && { metricsKey }) };
    const app = createMetricsServer({ settings, keys, listensOn: on, log, scrape: async () => "# metrics\n" });
    const { statusCode, body } = await app.inject({ url: "/metrics", headers: { host: "127.0.0.1", ...headers } });
    await app.close();
    return statusCode === 200 ? [200] : [statusCode, JSON.parse(body).error.message];
  }
  interface Access {
    on: string;
    metricsKey: string;
    required: boolean;
    authentication: "keys" | "off";
  }

  test("needs no key on this machine", async () => {
    expect(await statusOf({})).toEqual([200]);
    expect(await statusOf({ authorization: "Bearer anything" }, { on: "::1" })).toEqual([200]);
  });

  test("on this machine, web pages of other sites are refused, and requests that a proxy passed on need a key", async () => {
    expect((await statusOf({ host: "rebound.example" }))[0]).toBe(403);
    expect((await statusOf({ origin: "https://evil.example" }))[0]).toBe(403);
    for (const name of ["x-forwarded-for", "forwarded", "via", "x-real-ip"]) {
      expect((await statusOf({ [name]: "10.0.0.1" }))[0]).toBe(401);
    }
    expect(await statusOf({ "x-forwarded-for": "10.0.0.1", ...admin })).toEqual([200]);
  });

  test("on other addresses needs an admin key", async () => {
    const on = "0.0.0.0";
    expect(await statusOf({}, { on })).toEqual([401, "The API key is unknown."]);
    expect((await statusOf({ authorization: "Bearer tenant" }, { on }))[0]).toBe(403);
    expect(await statusOf(admin, { on })).toEqual([200]);
    expect(await statusOf({}, { on, required: false, authentication: "off" })).toEqual([200]);
    expect(await statusOf({}, { on, required: false })).toEqual([
      401,
      "The metrics require a key. Set SLUICE_METRICS_KEY, and send it as Authorization: Bearer KEY.",
    ]);
  });

  test.each(["127.0.0.1", "0.0.0.0"])("on %s, SLUICE_METRICS_KEY is required if it is set", async (on) => {
    const guarded = { on, metricsKey: key };
    expect(await statusOf(scraper, guarded)).toEqual([200]);
    expect(await statusOf(admin, guarded)).toEqual([200]);
    for (const wrong of [undefined, `Bearer ${key}k`, key]) {
      const headers: Record<string, string> = wrong === undefined ? {} : { authorization: wrong };
      expect((await statusOf(headers, guarded))[0]).toBe(401);
      expect((await statusOf(headers, { ...guarded, required: false, authentication: "off" }))[0]).toBe(401);
    }
    expect((await statusOf({}, guarded))[1]).not.toContain(key);
  });

  test("other paths and methods are errors of the usual form", async () => {
    const keys = { required: false, authenticate: async () => keylessCaller };
    const app = createMetricsServer({
      ...{ settings: testSettings(), keys, listensOn: "127.0.0.1", log },
      scrape: async () => Promise.reject(new Error("a bug")),
    });
    expect((await app.inject("/")).json()).toMatchObject({ error: { code: "not_found" } });
    expect((await app.inject({ method: "POST", url: "/metrics", payload: "x" })).statusCode).toBeGreaterThan(400);
    expect((await app.inject("/metrics")).json()).toMatchObject({ error: { code: "internal" } });
    await app.close();
  });
});
