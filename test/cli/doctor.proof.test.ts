// sluice doctor on ten broken set-ups: it says what is wrong and what to do, exits with 1, and prints no secret.
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { afterAll, describe, expect, onTestFinished, test, vi } from "vitest";
import type { SimulatorOptions } from "../../src/simulator/options.ts";
import { startSimulator } from "../../src/simulator/simulator.ts";
import { startTestService } from "../batches/support.ts";
import { sharedMongoUrl, startRedis, withoutMongo, withoutRedis } from "../support/servers.ts";
import { sluice } from "./run-inside.ts";
import { closedAddress } from "./support.ts";

vi.setConfig({ testTimeout: 120_000 });

const folder = mkdtempSync(join(tmpdir(), "sluice-doctor-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const closed = await closedAddress();
const closedPort = new URL(closed).port;
const credentials = { AWS_ACCESS_KEY_ID: "AKIDEXAMPLE", AWS_SECRET_ACCESS_KEY: "hunter2-secret" };
const simulated = { SLUICE_PROVIDER: "simulator" };
let n = 0;

/** Runs the doctor in a folder of its own. @returns findings by check */
async function doctor(env: Record<string, string>, { yaml, args = [] }: { yaml?: string; args?: string[] } = {}) {
  const dataDir = join(folder, `data-${n++}`);
  const config = join(folder, `${n}.yaml`);
  writeFileSync(config, yaml ?? "defaultModel: llama3-3-70b\n", { mode: 0o600 });
  const all = [
    "doctor",
    "--json",
    "--url",
    closed,
    "--config",
    config,
    ...(args.includes("--data-dir") ? [] : ["--data-dir", dataDir]),
    ...args,
  ];
  const { code, stdout, stderr } = await sluice(all, env);
  expect(stderr).toBe("");
  const { ok, findings } = JSON.parse(stdout) as {
    ok: boolean;
    findings: { check: string; status: string; text: string }[];
  };
  const problems = findings.filter(({ status }) => status === "fix");
  expect(code).toBe(problems.length > 0 ? 1 : 0);
  expect(ok).toBe(problems.length === 0);
  // None of the secrets in these set-ups is printed, as they are or encoded.
  expect(stdout).not.toMatch(/hunter2/);
  return { problems: Object.fromEntries(problems.map(({ check, text }) => [check, text])), findings };
}

/** Where the record and the queue are closed ports, unless said otherwise. */
const distributed = (redis: string, mongo = `mongodb://u:hunter2@127.0.0.1:${closedPort}/`) => ({
  ...{ MONGODB_URL: mongo, REDIS_URL: redis, ...credentials },
  ...bedrockAt(closed),
});
const bedrockAt = (url: string) => ({
  ...{ AWS_ENDPOINT_URL_BEDROCK_RUNTIME: url, AWS_ENDPOINT_URL_BEDROCK: url, AWS_ENDPOINT_URL_SERVICE_QUOTAS: url },
  AWS_MAX_ATTEMPTS: "1",
});

async function simulator(options: SimulatorOptions) {
  const running = await startSimulator(options);
  onTestFinished(() => running.stop());
  return running;
}

test("a healthy embedded set-up has nothing to fix", async () => {
  const service = await startTestService("embedded");
  onTestFinished(() => service.close());
  const { problems, findings } = await doctor(simulated, { args: ["--url", service.url] });
  expect(problems).toEqual({});
  expect(findings.map(({ check }) => check)).toEqual([
    ...["configuration", "credentials", "model access", "quotas", "redis and mongodb", "configuration file"],
    ...["data folder", "disk", "service", "api key", "retention"],
  ]);
  expect(findings).toContainEqual({
    check: "service",
    status: "ok",
    text: `The service at ${service.url} accepts and runs jobs.`,
  });
});

test("1: a configuration with a mistake", async () => {
  const { problems } = await doctor(simulated, { yaml: "limits: { maxWait: 3 }\n" });
  expect(problems.configuration).toMatch(/limits\.maxWait is not a known field; did you mean maxWaitS\?/);
});

test("2: no credentials, and credentials that AWS refuses", async () => {
  expect((await doctor({})).problems.credentials).toMatch(/^No AWS credentials were found.*AWS_ACCESS_KEY_ID/s);
  const { url } = await simulator({ verifySignatures: { accessKeyId: "AKIDOTHER", secretAccessKey: "other" } });
  const { problems } = await doctor({ ...credentials, ...bedrockAt(url) });
  expect(problems.credentials).toMatch(
    /^AWS refuses the credentials: .*(UnrecognizedClient|InvalidSignature).*Renew them, or choose others with AWS_PROFILE\.$/,
  );
});

test("3: no access to the model, found by one call of one token, and only if asked", async () => {
  const running = await simulator({
    faults: [{ kind: "error", error: "AccessDeniedException", message: "You don't have access to the model." }],
  });
  const env = { ...credentials, ...bedrockAt(running.url) };
  expect(Object.keys((await doctor(env)).problems).filter((check) => check.startsWith("model call"))).toEqual([]);
  expect(running.callCount).toBe(0);
  const { problems } = await doctor(env, { args: ["--call-models"] });
  const call = "model call bedrock/us-east-1/us.meta.llama3-3-70b-instruct-v1:0";
  expect(problems[call]).toMatch(/^The call failed: .*access/i);
  expect(running.callCount).toBeGreaterThan(0);
});

test("4: limits above those of the account", async () => {
  const { url } = await simulator({ requestsPerMinute: 5, account: {} });
  const deployment =
    "{ region: us-east-1, modelId: us.meta.llama3-3-70b-instruct-v1:0, quotas: [{ unit: requests, per: minute, limit: 800 }] }";
  const yaml = `defaultModel: m\nmodels: { m: { deployments: [${deployment}] } }\n`;
  const { problems, findings } = await doctor({ ...credentials, ...bedrockAt(url) }, { yaml });
  expect(problems["quotas bedrock/us-east-1/us.meta.llama3-3-70b-instruct-v1:0"], JSON.stringify(findings)).toMatch(
    /^requests per minute: 800 configured, 5 listed by AWS\..*sluice quotas --write --region us-east-1/,
  );
});

test("5: other users can read the data folder", async () => {
  const dataDir = join(folder, "open");
  mkdirSync(dataDir);
  chmodSync(dataDir, 0o755);
  const look = () => doctor(simulated, { args: ["--data-dir", dataDir] });
  expect((await look()).problems["file permissions"]).toMatch(/\(mode 755\).*Run: chmod 700 '.*open'$/);
  writeFileSync(join(dataDir, "SSP-dev.sqlite"), "");
  chmodSync(join(dataDir, "SSP-dev.sqlite"), 0o644);
  expect((await look()).problems["file permissions"]).toMatch(
    /^Other users can read prompts and answers: SSP-dev\.sqlite in .*chmod -R go=/,
  );
});

test("6: less space on the disk than the limit", async () => {
  const { problems } = await doctor(simulated, { yaml: "limits: { minFreeDiskBytes: 1000000000000000 }\n" });
  expect(problems.disk).toMatch(/^[\d.]+ [MG]iB are free.*limits\.minFreeDiskBytes\)\. Free space, or move the folder/);
});

test("7: neither Redis nor MongoDB runs", async () => {
  const { problems } = await doctor(distributed(`redis://u:hunter2@127.0.0.1:${closedPort}`));
  expect(problems.redis).toMatch(
    /^Redis cannot be reached \(.*ECONNREFUSED.*\)\. Start it, check host and port in REDIS_URL/,
  );
  expect(problems.mongodb).toMatch(/^MongoDB cannot be reached \(.*ECONNREFUSED.*\)\. Start it, check hosts/);
});

/** Answers as an old Redis whose clock is an hour behind. There is no package of one for this machine. */
async function oldRedis(): Promise<string> {
  const info = "# Server\r\nredis_version:5.0.7\r\nrole:master\r\nmaxmemory_policy:noeviction\r\nloading:0\r\n";
  const bulk = (text: string) => `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (data) => {
      for (const [command] of data
        .toString()
        .toLowerCase()
        .matchAll(/\b(info|time|eval|client|hello)\b(?=\r\n)/g)) {
        const hourAgo = String(Math.floor(Date.now() / 1000) - 3600);
        const answers: Record<string, string> = {
          info: bulk(info),
          time: `*2\r\n${bulk(hourAgo)}${bulk("0")}`,
          eval: ":1\r\n",
        };
        socket.write(answers[command] ?? "+OK\r\n");
      }
    });
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  onTestFinished(() => void server.close());
  return `redis://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test("8: a Redis that is too old, whose clock is wrong; a server that is no Redis", async () => {
  const { problems } = await doctor(distributed(await oldRedis()));
  expect(problems["redis version"]).toMatch(/^The server is Redis 5\.0\.7\. Sluice needs Redis 6\.2 or later/);
  expect(problems["redis clock"]).toMatch(/^The clock of Redis is 3\d\d\d\.\d s behind this machine's\..*NTP/);
  const { url } = await simulator({});
  expect((await doctor(distributed(url.replace("http:", "redis:")))).problems.redis).toMatch(/Redis/);
});

describe.skipIf(withoutRedis())("with a Redis", () => {
  test("9: a wrong password, an eviction policy that loses jobs, and TLS that the server refuses", async () => {
    const locked = await startRedis();
    onTestFinished(() => locked.close());
    const admin = new Redis(locked.url);
    await admin.call("CONFIG", "SET", "requirepass", "right");
    admin.disconnect();
    const { host } = new URL(locked.url);
    expect((await doctor(distributed(`redis://:hunter2@${host}`))).problems.redis).toMatch(
      /^Redis (does not let|refuses|refused).*(WRONGPASS|invalid password).*REDIS_URL|^Redis .*WRONGPASS.*Check/,
    );
    const evicting = await startRedis(["--maxmemory-policy", "allkeys-lru"]);
    onTestFinished(() => evicting.close());
    const { problems, findings } = await doctor(distributed(evicting.url));
    expect(problems["redis eviction"]).toMatch(
      /^maxmemory-policy is allkeys-lru.*CONFIG SET maxmemory-policy noeviction/,
    );
    expect(Object.keys(problems).filter((check) => check.startsWith("redis"))).toEqual(["redis eviction"]);
    expect(findings.find(({ check }) => check === "redis version")?.status).toBe("ok");
    const tls = await doctor(distributed(evicting.url.replace("redis:", "rediss:")));
    expect(tls.problems["redis tls"], JSON.stringify(tls.problems)).toMatch(
      /^Redis refused TLS .*write redis:\/\/ in REDIS_URL/,
    );
  });
});

describe.skipIf(withoutMongo())("with a MongoDB", () => {
  test("10: TLS that MongoDB refuses, and what kind of server it is", async () => {
    const redis = `redis://127.0.0.1:${closedPort}`;
    const host = /mongodb:\/\/([^/?]+)/.exec(sharedMongoUrl())![1];
    const tls = await doctor(distributed(redis, `mongodb://${host}/?tls=true`));
    expect(JSON.stringify(tls.problems["mongodb tls"] ?? tls.problems)).toMatch(
      /^"MongoDB refused TLS or does not run .*tls=true or tls=false/,
    );
    const { findings } = await doctor(distributed(redis, sharedMongoUrl()));
    const of = (check: string) => findings.find((finding) => finding.check === check);
    expect(of("mongodb")).toMatchObject({ status: "ok" });
    expect(of("mongodb version")!.text).toMatch(/^The server is (FerretDB|MongoDB) \S+/);
    expect(of("mongodb clock")).toMatchObject({ status: "ok" });
  });
});

test("on paper: one line for each check, and what to do", async () => {
  const { code, stdout } = await sluice(["doctor", "--url", closed, "--data-dir", join(folder, "none")], simulated);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^ok {4}credentials: The built-in simulator answers, which needs no credentials\.$/m);
  expect(stdout).toMatch(/^skip {2}service: No service answers at http:.*$/m);
  expect(stdout.endsWith("\nNothing to fix.\n")).toBe(true);
});
