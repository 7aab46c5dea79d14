// sluice quotas advise: what it asks the service for, and how it shows the answer.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { account, environmentOf, llama, startAccount } from "../discovery/support.ts";
import { sluice } from "./run-inside.ts";
import { answering } from "./support.ts";

const quota = `bedrock/us-east-1/${llama}:requests/minute`;
const idle = {
  quota: "shared",
  unit: "tokens",
  per: "minute",
  configured_limit: 600_000,
  effective_limit: 600_000,
  status: "enough",
  requested_limit: null,
  reason: "No increase needed: no job waited for this quota.",
  cautions: [],
  text: null,
  time_at_limit: 0,
  used_mean: 12_345,
};
const report = {
  from: "2030-01-31T12:00:00.000Z",
  to: "2030-01-31T15:00:00.000Z",
  history_minutes: 180,
  quotas: [
    idle,
    {
      ...idle,
      quota,
      unit: "requests",
      configured_limit: 3,
      status: "increase",
      requested_limit: 20,
      reason: "It held up jobs for 34 % of the time.",
      cautions: ["There are only 3 h of history\u001b[31m."],
      text: "Region: us-east-1\nQuota: a guess\nCurrent limit: 3 requests per minute\nRequested limit: 20",
      time_at_limit: 0.3412,
      used_mean: 2.9,
    },
  ],
};

test("shows a table, and for each quota that held up work the reason and the text", async () => {
  const service = await answering([{ body: report }]);
  const { code, stdout, stderr } = await sluice(["quotas", "advise", "--days", "2", "--target-wait", "24"], {
    SLUICE_URL: service.url,
  });
  expect([code, stderr]).toEqual([0, ""]);
  expect(service.asked[0]!.url).toBe("/v1/quotas/advice?days=2&target_wait_hours=24");
  expect(stdout).toMatchInlineSnapshot(`
    "History of 3 h, from 2030-01-31 12:00:00Z to 2030-01-31 15:00:00Z.

    quota                                                                 at limit   used  limit  ask for  advice
    shared                                                                      0%  12.3k   600k        -  enough
    bedrock/us-east-1/us.meta.llama3-3-70b-instruct-v1:0:requests/minute     34.1%    2.9      3       20  increase

    bedrock/us-east-1/us.meta.llama3-3-70b-instruct-v1:0:requests/minute
    It held up jobs for 34 % of the time.
    ! There are only 3 h of history?[31m.

    Region: us-east-1
    Quota: a guess
    Current limit: 3 requests per minute
    Requested limit: 20
    "
  `);
});

test("prints the answer of the service as JSON, and says so without history", async () => {
  const none = { ...report, history_minutes: 0, quotas: [{ ...idle, status: "no_history" }] };
  const service = await answering([{ body: report }, { body: none }]);
  const env = { SLUICE_URL: service.url };
  expect(JSON.parse((await sluice(["quotas", "advise", "--json"], env)).stdout)).toEqual(report);
  const { stdout } = await sluice(["quotas", "advise"], env);
  expect(stdout).toContain("The service has no history yet.");
  expect(stdout).toMatch(/^shared +- .* no history$/m);
});

test("--aws replaces names and limits by those that AWS lists, and says where it lists none", async () => {
  const simulator = await startAccount(account);
  const folder = mkdtempSync(join(tmpdir(), "sluice-advise-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "sluice.yaml");
  const quotas = "[{ unit: requests, per: minute, limit: 3 }]";
  writeFileSync(
    file,
    `defaultModel: llama\nmodels: { llama: { deployments: [{ region: us-east-1, modelId: "${llama}", quotas: ${quotas} }] } }\n`,
  );
  const unknown = { ...report.quotas[1]!, quota: "elsewhere" };
  const service = await answering([{ body: { ...report, quotas: [...report.quotas, unknown] } }]);
  const args = ["quotas", "advise", "--aws", "--config", file, "--json"];
  const printed = await sluice(args, { ...environmentOf(simulator), SLUICE_URL: service.url });
  expect(printed).toMatchObject({ code: 0, stderr: "" });
  const [, advice, other] = JSON.parse(printed.stdout).quotas;
  const name = "Cross-region model inference requests per minute for Meta Llama 3.3 70B Instruct";
  expect(advice.text).toContain(`Quota: ${name} (L-`);
  expect(advice.text).toContain("Current limit: 80 requests per minute");
  expect(other.text).toBe(unknown.text);
  expect(other.cautions.at(-1)).toBe("Service Quotas lists no such quota, or could not be read.");
});

test.each([
  [["--days", "31"], /--days .*from 1 to 30/],
  [["--target-wait", "0"], /--target-wait .*from 1 to 24/],
  [["--write"], /unknown option '--write'/],
])("%j is refused", async (options, message) => {
  const { code, stderr } = await sluice(["quotas", "advise", ...options]);
  expect(code).toBe(2);
  expect(stderr).toMatch(message);
});
