// Gauges of the queue: what a snapshot becomes, and what is left if store or queue do not answer.
import { pino } from "pino";
import { expect, test } from "vitest";
import type { SchedulerSnapshot } from "../../src/scheduler/scheduler.ts";
import { addQueueGauges } from "../../src/telemetry/queue-gauges.ts";
import { Registry } from "../../src/telemetry/registry.ts";
import { testSettings } from "../support/jobs-context.ts";

const deployment = "bedrock/us-east-1/us.meta.llama3-3-70b-instruct-v1:0";
const now = 1_000_000;
const counts = { queued: 3, in_progress: 1, completed: 0, failed: 0, cancelled: 0, expired: 0 };
const snapshot: SchedulerSnapshot = {
  configVersion: "1",
  open: true,
  running: 1,
  deployments: [
    { id: deployment, running: 1, maxConcurrency: 50, state: "cooling_down", reason: "secret reason", forMs: 2600 },
  ],
  quotas: [
    {
      name: `${deployment}:requests/minute`,
      ...({ unit: "requests", per: "minute", configuredLimit: 3, effectiveLimit: 2, configuredBurst: 3 } as const),
      ...{ effectiveBurst: 3, probing: false, closedForMs: 9000, used: 1.5, reserved: 1, settled: 0.5 },
    },
  ],
  waiting: [
    {
      ...({ environment: "UAT", priority: "batch", model: "llama3-3-70b", ready: 2, delayed: 1 } as const),
      ...{ oldestOrder: now - 61_000, waitingOn: { kind: "turn" } as const },
    },
    { environment: "secret", priority: "batch", model: "secret model", ready: 4, delayed: 0, oldestOrder: now },
  ],
  backlogs: [{ model: "llama3-3-70b", emptyInMs: 90_000 }, { model: "nova-lite" }],
  paused: [{ tenant: "secret tenant" }, { tenant: "another tenant", environment: "UAT" }, { deployment }],
  missingModels: [{ model: "secret model", jobs: 4, failInMs: 1 }],
};

function start({ queue = async () => snapshot, store = async () => ({ UAT: counts }) } = {}) {
  const registry = new Registry();
  addQueueGauges(registry, {
    settings: testSettings(),
    store: { counts: store },
    scheduler: { snapshot: queue },
    clock: { wall: () => now },
    log: pino({ level: "silent" }),
  });
  return async () => {
    const lines = (await registry.scrape("prometheus")).split("\n");
    return lines.filter((line) => line !== "" && !line.startsWith("#") && !line.endsWith(" 0")).sort();
  };
}

const info = (model: string, id: string, quotas: string[]) =>
  quotas.map((quota) => `sluice_deployment_info{model="${model}",deployment="${id}",quota="${id}:${quota}"} 1`);
const ofConfiguration = [
  ...info("llama3-3-70b", deployment, ["requests/minute", "tokens/minute"]),
  ...info("nova-lite", "bedrock/eu-west-1/eu.amazon.nova-lite-v1:0", ["tokens/minute"]),
  `sluice_model_end_of_life_timestamp_seconds{model="llama3-3-70b",deployment="${deployment}"} 1806364800`,
];
const ofQueue = [
  `sluice_deployment_calls{deployment="${deployment}"} 1`,
  `sluice_deployment_max_calls{deployment="${deployment}"} 50`,
  `sluice_deployment_retry_seconds{deployment="${deployment}"} 3`,
  `sluice_deployment_state{deployment="${deployment}",state="cooling_down"} 1`,
  'sluice_eta_empty_seconds{model="llama3-3-70b"} 90',
  "sluice_missing_model_jobs 4",
  'sluice_oldest_waiting_seconds{environment="UAT",priority="batch",model="llama3-3-70b"} 61',
  `sluice_paused{kind="deployment",name="${deployment}"} 1`,
  'sluice_paused{kind="tenant",name="other"} 2',
  'sluice_queue_jobs{environment="UAT",priority="batch",model="llama3-3-70b",state="delayed"} 1',
  'sluice_queue_jobs{environment="UAT",priority="batch",model="llama3-3-70b",state="ready"} 2',
  'sluice_queue_jobs{environment="other",priority="batch",model="other",state="ready"} 4',
  "sluice_queue_open 1",
  `sluice_quota_closed_seconds{quota="${deployment}:requests/minute",per="minute"} 9`,
  `sluice_quota_limit_requests{quota="${deployment}:requests/minute",per="minute",kind="configured"} 3`,
  `sluice_quota_limit_requests{quota="${deployment}:requests/minute",per="minute",kind="learned"} 2`,
  `sluice_quota_used_ratio{quota="${deployment}:requests/minute",per="minute"} 0.75`,
  `sluice_quota_used_requests{quota="${deployment}:requests/minute",per="minute",kind="reserved"} 1`,
  `sluice_quota_used_requests{quota="${deployment}:requests/minute",per="minute",kind="settled"} 0.5`,
  'sluice_up{part="queue"} 1',
];
const ofStore = [
  'sluice_jobs{environment="UAT",state="in_progress"} 1',
  'sluice_jobs{environment="UAT",state="queued"} 3',
  'sluice_up{part="store"} 1',
];

test("shows what waits, how quotas are used, and names of the configuration only", async () => {
  expect(await start()()).toEqual([...ofConfiguration, ...ofQueue, ...ofStore].sort());
});

test("without the queue, what is read from the store remains, and the reverse", async () => {
  const unavailable = () => Promise.reject(new Error("unavailable"));
  expect(await start({ queue: unavailable })()).toEqual([...ofConfiguration, ...ofStore].sort());
  expect(await start({ store: unavailable })()).toEqual([...ofConfiguration, ...ofQueue].sort());
});

test("a queue that stops answering takes its old values with it", async () => {
  let answers = true;
  const scrape = start({ queue: async () => (answers ? snapshot : Promise.reject(new Error("unavailable"))) });
  await scrape();
  answers = false;
  expect(await scrape()).toEqual([...ofConfiguration, ...ofStore].sort());
});
