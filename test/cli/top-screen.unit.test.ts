// What sluice top draws: it fits the terminal, shows the state of the service, and measures throughput.
import { expect, test } from "vitest";
import type { ServiceState, Stats } from "../../src/cli/service-state.ts";
import { columnsOf } from "../../src/cli/terminal.ts";
import { ThroughputMeter } from "../../src/cli/top-command.ts";
import { quotaBar, topLines } from "../../src/cli/top-screen.ts";

const counts = { queued: 1_234, in_progress: 12, completed: 100, failed: 1, cancelled: 0, expired: 0 };
const stats: Stats = {
  jobs: { UAT: counts, PROD: { ...counts, in_progress: 0 } },
  queue: [
    {
      ...{ environment: "PROD", priority: "batch", model: "nova-2-lite", ready: 0, delayed: 7 },
      ...{ oldest_at: null, waiting_on: null },
    },
    {
      ...{ environment: "UAT", priority: "batch", model: "llama3-3-70b", ready: 1_200, delayed: 5 },
      ...{ oldest_at: "2030-01-31T10:58:00Z", waiting_on: { kind: "out_of_service" } },
    },
    {
      ...{ environment: "UAT", priority: "interactive", model: "llama3-3-70b", ready: 34, delayed: 0 },
      ...{ oldest_at: "2030-01-31T11:59:12Z", waiting_on: { kind: "quota" } },
    },
  ],
  models: [{ model: "llama3-3-70b", empty_at: "2030-01-31T12:05:20Z" }],
  running: 12,
};
const deployment = "bedrock/us-east-1/us.meta.llama3-3-70b-instruct-v1:0";
const times = { closed_until: null, next_free_at: null };
const state: ServiceState = {
  readiness: { status: "ok", reasons: [] },
  stats,
  missing: [],
  deployments: [
    {
      id: deployment,
      state: "cooling_down",
      reason: "AWS \u001b[2J throttles",
      until: null,
      paused: false,
      running: 12,
      max_concurrency: 50,
    },
  ],
  quotas: [
    {
      name: `${deployment}:requests/minute`,
      unit: "requests",
      per: "minute",
      configured_limit: 800,
      effective_limit: 400,
      used: 200,
      ...times,
    },
    {
      name: `${deployment}:tokens/minute`,
      unit: "tokens",
      per: "minute",
      configured_limit: 600_000,
      effective_limit: 600_000,
      used: 588_000,
      reserved: 300_000,
      ...times,
    },
  ],
};
const now = Date.parse("2030-01-31T12:00:00Z");
const plain = { now, url: "http://127.0.0.1:8000", paint: (_: unknown, text: string) => text };

test("at 80 columns: depths, quotas with settled and reserved use, throughput, deployments", () => {
  const lines = topLines(state, { ...plain, columns: 80, throughput: { completed: 38.2, failed: 0.5 } });
  expect(lines).toEqual([
    "Sluice http://127.0.0.1:8000  ready",
    "1,246 waiting, 12 running, 38/s completed, 30/min failed, empty in 5 min 20 s",
    "",
    "environment  priority     model         ready  delayed  oldest  waits for",
    "PROD         batch        nova-2-lite       0        7",
    "UAT          batch        llama3-3-70b  1,200        5      1h  out of service",
    "             interactive  llama3-3-70b     34        0     48s  quota",
    "",
    "quota                               use (# settled, + reserved)",
    "bedrock/us-east-1…:requests/minute  [###########···········]  50%      200/400",
    "bedrock/us-east-1…:0:tokens/minute  [###########+++++++++++]  98%    588k/600k",
    "",
    "deployment                             state         running  reason",
    "bedrock/us-east-1/…-70b-instruct-v1:0  cooling down    12/50  AWS ?[2J throttles",
  ]);
});

test.each([120, 80, 60, 40])("no line is wider than %i columns", (columns) => {
  for (const line of topLines(state, { ...plain, columns })) expect(columnsOf(line)).toBeLessThanOrEqual(columns);
});

test("without an admin key it says what is missing; offline it keeps the last state", () => {
  const { stats: _, ...rest } = state;
  const ofUser = { ...rest, missing: ["Job counts are missing: the API key is not an admin key."] };
  expect(topLines(ofUser, { ...plain, columns: 80 }).join("\n")).toContain(
    "Job counts are missing: the API key is not an admin key.",
  );
  const [head] = topLines(state, { ...plain, columns: 80, offline: "since 12:00, trying again" });
  expect(head).toBe("Sluice http://127.0.0.1:8000  offline: since 12:00, trying again");
});

test("a bar never leaves its frame", () => {
  const bar = (used: number, reserved: number, limit = 100) => quotaBar({ used, reserved, effective_limit: limit }, 12);
  expect(bar(0, 0)).toBe("[··········]");
  expect(bar(1, 0)).toBe("[#·········]");
  expect(bar(50, 20)).toBe("[###++·····]");
  expect(bar(250, 0)).toBe("[##########]");
  expect(bar(5, 5, 0)).toBe("[+·········]");
  expect(bar(100, 100)).toBe("[++++++++++]");
});

test("throughput is that of the last ten seconds, and deleted jobs do not make it negative", () => {
  const meter = new ThroughputMeter();
  const at = (completed: number) => ({ ...stats, jobs: { UAT: { ...counts, completed } } });
  expect(meter.add(at(0), 0)).toBeUndefined();
  expect(meter.add(at(10), 1_000)).toEqual({ completed: 10, failed: 0 });
  expect(meter.add(at(110), 11_500)).toEqual({ completed: 100 / 10.5, failed: 0 });
  expect(meter.add(at(0), 12_000)?.completed).toBe(0);
  expect(meter.add(undefined, 13_000)).toBeUndefined();
});
