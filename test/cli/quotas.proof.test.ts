// sluice quotas, and limits that are read from AWS: the real commands against the simulator's Service Quotas.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { startSimulator } from "../../src/simulator/simulator.ts";
import { account, environmentOf } from "../discovery/support.ts";
import { closedAddress, run, start } from "./support.ts";

vi.setConfig({ testTimeout: 120_000 });

const yaml = `# The models of our team
defaultModel: llama
models:
  llama:   # the good one
    deployments:
      - region: us-east-1
        modelId: us.meta.llama3-3-70b-instruct-v1:0
        quotas:
          - { unit: requests, per: minute,   limit: 3 }  # what we were told
          - { unit: tokens, per: minute, limit: auto }
  nova:
    deployments:
      - region: us-west-2   # nothing known yet
        modelId: amazon.nova-pro-v1:0
  strange:
    deployments: [{ region: us-east-1, modelId: us.brand.new-model-v1:0 }]
`;

async function given(content = yaml) {
  const simulator = await startSimulator({ account });
  onTestFinished(() => simulator.stop());
  const cwd = mkdtempSync(join(tmpdir(), "sluice-quotas-"));
  onTestFinished(() => rmSync(cwd, { recursive: true, force: true }));
  const file = join(cwd, "sluice.yaml");
  writeFileSync(file, content);
  const env = { ...environmentOf(simulator), SLUICE_URL: await closedAddress() };
  return { cwd, file, env };
}

test("shows limits side by side; --write puts them in their places and leaves auto and every comment alone", async () => {
  const { cwd, env, file } = await given();
  const { code, stdout, stderr } = await run(["quotas", "--write"], { cwd, env });
  expect(code, stderr).toBe(0);
  expect(
    stdout,
  ).toContain(`bedrock/us-east-1/us.meta.llama3-3-70b-instruct-v1:0  (llama)  LEGACY, since 2026-09-30, end of life 2027-03-30
  quota                configured            listed  learned
  requests per minute           3  80 (default 800)        -
  tokens per minute          auto           600,000        -
  tokens per day                -       700,000,000        -
`);
  expect(stdout).toContain(
    "  ! AWS lists no cross-region quota for brand.new-model-v1:0 in us-east-1. If one of the unmatched",
  );
  expect(stdout).toContain(`No service answers at ${env.SLUICE_URL}, so nothing is shown as learned.`);
  expect(stdout).toMatch(/\d+ listed quotas are of models that no deployment serves; --all shows them\./);

  expect(stderr).toBe(`3 limits were written into ${file}. Reload the service with SIGHUP to use them.\n`);
  expect(readFileSync(file, "utf8")).toBe(
    yaml
      .replace("limit: 3 ", "limit: 80 ")
      .replace(
        "nova-pro-v1:0\n",
        "nova-pro-v1:0\n        quotas:\n          - { unit: requests, per: minute, limit: 25 }\n" +
          "          - { unit: tokens, per: minute, limit: 1000000 }\n",
      ),
  );
});

test("a Region that is not configured is one line", async () => {
  const { cwd, env } = await given();
  const wrong = await run(["quotas", "--region", "eu-west-1"], { cwd, env });
  expect(wrong).toMatchObject({ code: 1, stdout: "" });
  expect(wrong.stderr).toBe("--region is eu-west-1; the configuration has deployments in us-east-1, us-west-2.\n");
});

async function deploymentsOf(url: string) {
  const response = await fetch(`${url}/v1/deployments`);
  return (await response.json()) as { quotas: { name: string; configured_limit: number }[] };
}

const limitsOf = async (url: string) =>
  Object.fromEntries((await deploymentsOf(url)).quotas.map((q) => [q.name.split(":").at(-1)!, q.configured_limit]));

const auto = () => `
port: 0
logLevel: warn
models:
  llama:
    deployments:
      - region: us-east-1
        modelId: us.meta.llama3-3-70b-instruct-v1:0
        quotas: [{ unit: requests, per: minute, limit: auto }, { unit: tokens, per: minute, limit: 50000 }]
`;

test("SIGHUP and POST /v1/config/reload put a changed file in force; a mistake leaves the old one", async () => {
  const { cwd, env, file } = await given(auto());
  const service = start(["serve"], { cwd, env });
  const [, url] = await service.printed(/Sluice is ready on (\S+)/);
  expect(await limitsOf(url!)).toEqual({ "requests/minute": 80, "tokens/minute": 50_000 });
  const reload = (headers: Record<string, string> = {}) =>
    fetch(`${url}/v1/config/reload`, { method: "POST", headers });

  writeFileSync(file, auto().replace("auto", "5"));
  service.child.kill("SIGHUP");
  await expect.poll(() => limitsOf(url!), { timeout: 20_000 }).toMatchObject({ "requests/minute": 5 });

  writeFileSync(file, auto().replace("auto", "6").replace("port: 0", "port: 1234"));
  const answer = await reload();
  expect(answer.status).toBe(200);
  expect(await answer.json()).toEqual({
    changed: [
      expect.stringMatching(/requests\/minute\.limit: 5 -> 6$/),
      expect.stringMatching(/requests\/minute\.burst: 5 -> 6$/),
    ],
    needs_restart: ["port: 0 -> 1234"],
    waiting_for_missing_models: [],
  });
  expect(await limitsOf(url!)).toMatchObject({ "requests/minute": 6 });

  writeFileSync(file, auto().replace("auto", "none"));
  const refused = await reload();
  expect(refused.status).toBe(422);
  expect(await refused.json()).toMatchObject({
    error: {
      code: "config_invalid",
      message: expect.stringMatching(
        /quotas\[0\]\.limit must be auto, or .*; got "none" \(line 9\)\nThe configuration before stays in force\.$/,
      ),
    },
  });
  expect(await limitsOf(url!)).toMatchObject({ "requests/minute": 6 });
  expect((await reload({ "x-forwarded-for": "192.0.2.1" })).status).toBe(403);

  // A model that is new is there at once, and is called.
  writeFileSync(
    file,
    `${auto()}  other:\n    deployments: [{ region: us-west-2, modelId: amazon.nova-pro-v1:0 }]\ndefaultModel: other\n`,
  );
  expect((await reload()).status).toBe(200);
  const job = await fetch(`${url}/enqueue`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ prompt: "hello", environment: "UAT", model: "other" }),
  });
  const { job_id } = (await job.json()) as { job_id: string };
  const ended = await fetch(`${url}/v1/jobs/${job_id}?wait=20`);
  expect(await ended.json()).toMatchObject({
    status: "completed",
    deployment: "bedrock/us-west-2/amazon.nova-pro-v1:0",
  });
  expect(await (await fetch(`${url}/readyz`)).json()).toMatchObject({ status: "ok" });
});
