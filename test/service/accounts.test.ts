// One model in one Region of two accounts: each is called with its own credentials, and their quotas add up.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { startService } from "../../src/service/start-service.ts";
import { startSimulator } from "../../src/simulator/simulator.ts";
import { testSettings } from "../support/jobs-context.ts";

const roleArn = "arn:aws:iam::222222222222:role/sluice";
const own = { accessKeyId: "AKIAOWN", secretAccessKey: "own-secret", account: "111111111111" };

test("the quotas of two accounts are both used to the full, and neither is exceeded", async () => {
  const simulator = await startSimulator({
    verifySignatures: own,
    requestsPerMinute: 5,
    account: { roles: { [roleArn]: { externalId: "ours" } } },
  });
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-accounts-"));
  vi.stubEnv("AWS_ACCESS_KEY_ID", own.accessKeyId);
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", own.secretAccessKey);
  vi.stubEnv("AWS_ENDPOINT_URL_STS", simulator.url);
  const deployment = {
    region: "us-east-1",
    modelId: "amazon.nova-pro-v1:0",
    endpoint: simulator.url,
    quotas: [{ unit: "requests" as const, per: "minute" as const, limit: 5 }],
  };
  const models = { m: { deployments: [deployment, { ...deployment, roleArn, externalId: "ours" }] } };
  const settings = { ...testSettings({ models, defaultModel: "m" }), dataDir, port: 0, logLevel: "silent" as const };
  const service = await startService(settings);
  onTestFinished(async () => {
    vi.unstubAllEnvs();
    await service.stop();
    await simulator.stop();
    await rm(dataDir, { recursive: true, force: true });
  });

  const enqueue = async () => {
    const response = await fetch(`${service.url}/enqueue`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ prompt: "hello", environment: "UAT" }),
    });
    return ((await response.json()) as { job_id: string }).job_id;
  };
  const jobs = await Promise.all(Array.from({ length: 11 }, enqueue));
  const read = async (job: string) =>
    (await (await fetch(`${service.url}/status/${job}`)).json()) as { status: string; deployment: string | null };
  const answeredBy = async () => {
    const counts: Record<string, number> = {};
    for (const { deployment, status } of await Promise.all(jobs.map(read))) {
      const key = deployment ?? status;
      counts[key] = (counts[key] ?? 0) + 1;
    }
    return counts;
  };
  await expect.poll(answeredBy, { timeout: 20_000 }).toEqual({
    "bedrock/us-east-1/amazon.nova-pro-v1:0": 5,
    "bedrock/us-east-1@222222222222/amazon.nova-pro-v1:0": 5,
    queued: 1,
  });
  expect(simulator.calls.map((call) => call.outcome)).toEqual(Array(10).fill("answered"));
});
