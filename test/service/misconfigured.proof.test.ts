// A deployment that cannot work, from the provider's refusal to what people see: no job is failed by it, the log says so
// once however many jobs wait, and the same sentence stands with the deployment and with each job.
import dns from "node:dns";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import type { FileSettings } from "../../src/config/config-schema.ts";
import { startService } from "../../src/service/start-service.ts";
import {
  type FakeBedrock,
  type Handler,
  json,
  startFakeBedrock,
  stream,
  wholeAnswer,
} from "../providers/fake-bedrock.ts";
import { testSettings } from "../support/jobs-context.ts";

let fake: FakeBedrock;
let dataDir: string;
beforeAll(async () => {
  fake = await startFakeBedrock();
});
afterAll(() => fake.close());
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "sluice-misconfigured-"));
  vi.stubEnv("AWS_EC2_METADATA_DISABLED", "true");
  vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIA");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "secret");
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(dataDir, { recursive: true, force: true });
});

const html =
  (status: number): Handler =>
  (res) =>
    res.writeHead(status, { "content-type": "text/html" }).end("<html><h1>Sign in to the network</h1></html>");

// biome-ignore lint/suspicious/noExplicitAny: tests compare it with what they expect
type Answer = any;

type Deployment = NonNullable<FileSettings["models"]>[string]["deployments"][number];

async function start(deployment: Partial<Deployment>) {
  const models = {
    m: { maxOutputTokens: 100, deployments: [{ region: "us-east-1", modelId: "amazon.nova-pro-v1:0", ...deployment }] },
  };
  const logged: { level: number; msg: string; deployment?: string; reason?: string }[] = [];
  const log = pino({ level: "warn" }, { write: (line: string) => logged.push(JSON.parse(line)) });
  const settings = { ...testSettings({ models, defaultModel: "m" }), dataDir, port: 0 };
  const service = await startService(settings, { log });
  onTestFinished(() => service.stop());
  const get = async (path: string) => (await (await fetch(`${service.url}${path}`)).json()) as Answer;
  const enqueue = async () => {
    const response = await fetch(`${service.url}/enqueue`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ prompt: "hello", environment: "UAT" }),
    });
    return ((await response.json()) as { job_id: string }).job_id;
  };
  return { get, enqueue, logged };
}

const refusal =
  (status: number, type: string, message: string): Handler =>
  (res, req) =>
    json(status, { message }, { "x-amzn-errortype": type })(res, req);

const rows: [
  what: string,
  answer: Handler | undefined,
  deployment: Partial<Deployment>,
  state: string,
  says: RegExp,
][] = [
  [
    "access denied",
    refusal(403, "AccessDeniedException", "You don't have access to the model with the specified model ID."),
    {},
    "out_of_service",
    /^You don't have access .* Allow bedrock:InvokeModel/,
  ],
  [
    "a wrong model ID",
    refusal(400, "ValidationException", "The provided model identifier is invalid."),
    {},
    "out_of_service",
    /Check the deployment's modelId, amazon\.nova-pro-v1:0/,
  ],
  [
    "an expired token",
    refusal(403, "ExpiredTokenException", "The security token included in the request is expired"),
    {},
    "out_of_service",
    /^The AWS credentials have expired\. Renew them/,
  ],
  [
    "missing credentials",
    undefined,
    { profile: "nowhere" },
    "out_of_service",
    /^The AWS profile "nowhere" provides no credentials/,
  ],
  [
    "a clock 10 minutes off",
    refusal(
      403,
      "InvalidSignatureException",
      "Signature expired: 20261127T120000Z is now earlier than 20261127T120500Z",
    ),
    {},
    "out_of_service",
    /this machine's clock is wrong by minutes\. Set the clock\.$/,
  ],
  [
    "a proxy that answers HTML",
    html(200),
    {},
    "cooling_down",
    /^The response was an HTML page with HTTP 200\. A proxy, .*/,
  ],
  [
    "a region that does not exist",
    undefined,
    { region: "us-east-9", endpoint: undefined },
    "out_of_service",
    /^The host name of Bedrock in us-east-9 cannot be resolved\. Check the network, and that Bedrock exists in the region us-east-9/,
  ],
];

test.each(rows)("%s", async (_what, answer, deployment, state, says) => {
  if (answer) fake.respond(answer);
  if (deployment.region) {
    const lookup = dns.lookup as (...args: unknown[]) => void;
    vi.spyOn(dns, "lookup").mockImplementation(((name: string, options: unknown, done: (error: Error) => void) => {
      if (!name.endsWith("amazonaws.com")) return lookup(name, options, done);
      done(Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), { code: "ENOTFOUND" }));
    }) as never);
    onTestFinished(() => void vi.restoreAllMocks());
  }
  const { get, enqueue, logged } = await start({ endpoint: fake.url, ...deployment });
  const jobs = await Promise.all([enqueue(), enqueue(), enqueue()]);
  const seen = async () => (await get("/v1/deployments")).deployments[0] as { state: string; reason: string };
  await expect.poll(seen, { timeout: 15_000 }).toMatchObject({ state, reason: expect.stringMatching(says) });
  const { reason } = await seen();
  for (const job of jobs) {
    await expect
      .poll(() => get(`/status/${job}`), { timeout: 15_000 })
      .toMatchObject({
        status: "queued",
        error: null,
        waiting_on: { reason, message: expect.stringContaining(reason) },
      });
  }
  expect(logged.filter((line) => line.reason === reason)).toEqual([
    expect.objectContaining({
      msg: state === "out_of_service" ? "took deployment out of service" : "started to cool down deployment",
    }),
  ]);
});

test("tokens per day that are used up: the log says so once, and the job waits", async () => {
  const message = "Too many tokens per day, please wait before trying again.";
  fake.respond(refusal(429, "ThrottlingException", message));
  const { get, enqueue, logged } = await start({ endpoint: fake.url });
  const jobs = await Promise.all([enqueue(), enqueue()]);
  await expect
    .poll(() => logged.map(({ msg, reason }) => [msg, reason]), { timeout: 15_000 })
    .toEqual([["started to cool down deployment", expect.stringMatching(/tokens per day .* are used up/)]]);
  for (const job of jobs) {
    await expect
      .poll(() => get(`/status/${job}`), { timeout: 15_000 })
      .toMatchObject({ status: "queued", error: null, waiting_on: { kind: "cool_down" } });
  }
  expect(logged).toHaveLength(1);
});

test("what cools down is tried again by itself, and the log says that it answers", async () => {
  fake.respond(html(502));
  const { get, enqueue, logged } = await start({ endpoint: fake.url });
  const job = await enqueue();
  await expect.poll(() => logged.length, { timeout: 15_000 }).toBeGreaterThan(0);
  fake.respond(stream(wholeAnswer));
  expect(await get(`/v1/jobs/${job}?wait=30`)).toMatchObject({
    status: "completed",
    attempts: expect.arrayContaining([expect.objectContaining({ result: "capacity" })]),
  });
});
