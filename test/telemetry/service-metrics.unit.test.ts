// The labels of events: only names of the configuration and closed sets, and tenants only by option.
import { expect, test } from "vitest";
import type { AttemptEnd } from "../../src/domain/job.ts";
import { testSettings } from "../support/jobs-context.ts";
import { testMetrics } from "../support/test-metrics.ts";

const deployment = "bedrock/us-east-1/us.meta.llama3-3-70b-instruct-v1:0";

function start(tenants = 0) {
  const settings = testSettings({ metrics: { tenants } });
  const { metrics, samples } = testMetrics(settings);
  const end = (result: AttemptEnd["result"], rest: Partial<AttemptEnd> = {}, model = "llama3-3-70b", id = deployment) =>
    metrics.callEnded({
      job: { environment: "UAT", tenant: "acme" },
      attempt: { deployment: id, model },
      end: { result, at: 0, ...rest },
    });
  return { settings, metrics, samples, end };
}

test("names that the configuration does not have count as other", async () => {
  const { metrics, samples, end } = start();
  metrics.jobSubmitted(
    { environment: "secret-environment", priority: "batch", model: "secret-model", tenant: "secret-tenant" },
    "chat",
  );
  metrics.jobFinished({ environment: "secret-environment", model: "secret-model" }, "failed");
  metrics.callStarted({ environment: "UAT", priority: "batch", model: "constructor" }, 2000);
  const usage = { input: 3, output: 2 };
  end("completed", { usage, costNanoUsd: 5, serviceTier: "secret-tier", durationMs: 10 }, "secret-model", "secret-id");
  expect(await samples("sluice_jobs_submitted_total")).toEqual([
    '{dialect="chat",environment="other",priority="batch"} 1',
  ]);
  expect(await samples("sluice_jobs_finished_total")).toEqual([
    '{environment="other",model="other",outcome="failed"} 1',
  ]);
  expect(await samples("sluice_wait_seconds_sum")).toEqual(['{priority="batch",model="other"} 2']);
  expect(await samples("sluice_tokens_total")).toEqual([
    '{deployment="other",kind="input"} 3',
    '{deployment="other",kind="output"} 2',
  ]);
  expect(await samples("sluice_cost_usd_total")).toEqual(['{environment="UAT",model="other",tier="other"} 5e-9']);
  expect(JSON.stringify(await samples(""))).not.toContain("secret");
});

test("a reload changes the names", async () => {
  const { settings, samples, end } = start();
  end("completed");
  Object.assign(
    settings,
    testSettings({
      models: { next: { deployments: [{ region: "us-east-1", modelId: "next" }] } },
      defaultModel: "next",
    }),
  );
  end("completed", {}, "next", "bedrock/us-east-1/next");
  end("completed");
  expect(await samples("sluice_attempts_total")).toEqual([
    `{deployment="${deployment}",result="completed"} 1`,
    '{deployment="bedrock/us-east-1/next",result="completed"} 1',
    '{deployment="other",result="completed"} 1',
  ]);
});

test("a call counts its result, its durations, and no usage that is no number", async () => {
  const { metrics, samples, end } = start();
  end("completed", { durationMs: 1500, firstTokenMs: 250, usage: { input: 10, output: Number.NaN, cacheRead: 4 } });
  end("aborted");
  end("transient", { durationMs: 9000 });
  metrics.callEnded({
    job: { environment: "UAT", tenant: "acme" },
    attempt: { deployment, model: "llama3-3-70b" },
    end: { result: "throttled", at: 0 },
    throttle: "tokens_per_day",
  });
  const of = `deployment="${deployment}"`;
  expect(await samples("sluice_attempts_total")).toEqual(
    ["completed", "unknown", "transient", "throttled"].map((result) => `{${of},result="${result}"} 1`),
  );
  expect(await samples("sluice_throttles_total")).toEqual([`{${of},kind="tokens_per_day"} 1`]);
  // A failed call may end at once, so only answers are timed.
  expect(await samples("sluice_call_seconds_count")).toEqual([`{${of}} 1`]);
  expect(await samples("sluice_first_token_seconds_sum")).toEqual([`{${of}} 0.25`]);
  expect(await samples("sluice_tokens_total")).toEqual([`{${of},kind="input"} 10`, `{${of},kind="cache_read"} 4`]);
});

test("tenants are named only by option, and only so many", async () => {
  const off = start();
  off.metrics.jobSubmitted({ environment: "UAT", priority: "standard", model: "llama3-3-70b", tenant: "acme" }, "jobs");
  expect(await off.samples("sluice_tenant")).toEqual([]);

  const { metrics, samples } = start(2);
  for (const tenant of ["acme", "beta", "third", "fourth", "acme"]) {
    metrics.jobSubmitted({ environment: "UAT", priority: "standard", model: "llama3-3-70b", tenant }, "jobs");
  }
  expect(await samples("sluice_tenant_jobs_submitted_total")).toEqual([
    '{tenant="acme"} 2',
    '{tenant="beta"} 1',
    '{tenant="other"} 2',
  ]);
});

test("predicted starts of less than a second on both sides are not compared", async () => {
  const { metrics, samples } = start();
  metrics.startCompared(10, 900);
  metrics.startCompared(0, 4000);
  metrics.startCompared(3000, 2000);
  expect(await samples("sluice_eta_error_ratio_count")).toEqual([" 2"]);
  expect(await samples("sluice_eta_error_ratio_sum")).toEqual([" 1.75"]);
});
