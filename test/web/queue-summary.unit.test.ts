// The sentence at the top of the dashboard, in every situation that an operator may meet.
import { expect, test } from "vitest";
import { mayStart, type Piece, queueSummary } from "../../web/src/queue-summary.ts";
import type { Deployment, Quota, Stats, WaitingRow } from "../../web/src/resources.ts";

const now = Date.parse("2030-01-31T12:00:00Z");
const at = (seconds: number) => new Date(now + seconds * 1000).toISOString();
const d = "bedrock/us-east-1/llama";

function quota(fields: Partial<Quota> = {}): Quota {
  return {
    ...{ name: "q", unit: "tokens", per: "minute", configured_limit: 100, effective_limit: 100, used: 0, reserved: 0 },
    ...{ settled: 0, probing: false, throttled_at: null, closed_until: null, next_free_at: null },
    ...fields,
  };
}

function deployment(fields: Partial<Deployment> = {}): Deployment {
  return {
    ...{ id: d, region: "us-east-1", account: null, model_id: "llama", state: "in_service", reason: null, until: null },
    ...{ paused: false, running: 0, max_concurrency: 10, quotas: ["q"], lifecycle: null },
    ...fields,
  };
}

type On = Partial<NonNullable<WaitingRow["waiting_on"]>>;

function row(ready: number, on: On | null, fields: Partial<WaitingRow> = {}): WaitingRow {
  const waiting_on = on && { message: "", kind: "turn" as const, deployment: null, quota: null, reason: null, ...on };
  return {
    ...{ environment: "PROD", priority: "standard", model: "llama", ready, delayed: 0 },
    ...{ oldest_at: ready > 0 ? at(-60) : null, waiting_on, starts_at: null },
    ...fields,
  };
}

interface Situation {
  queue: WaitingRow[];
  stats?: Partial<Stats>;
  quotas?: Quota[];
  deployments?: Deployment[];
  startableMs?: number;
}

function summaryOf({
  queue,
  stats = {},
  quotas = [quota()],
  deployments = [deployment()],
  startableMs = 0,
}: Situation) {
  const all = { jobs: {}, queue, models: [], next_ready_at: null, running: 0, scheduler: { open: true }, ...stats };
  return queueSummary({ at: at(0), stats: all, models: [], deployments, quotas }, now, startableMs);
}

const words = (piece: Piece) =>
  typeof piece === "string" ? piece : "at" in piece ? piece.at.slice(11, 16) : `<${piece.deployment}>`;
const said = (situation: Situation) => summaryOf(situation).sentence.map(words).join("");

const onQuota: On = { kind: "quota", deployment: d, quota: "q" };
const empty = (seconds: number) => ({ models: [{ model: "llama", empty_at: at(seconds) }] });

test("nothing waits", () => {
  expect(said({ queue: [] })).toBe("Nothing waits, none running.");
  expect(said({ queue: [], stats: { running: 3 } })).toBe("Nothing waits, 3 running.");
  expect(summaryOf({ queue: [] }).advice).toBeUndefined();
});

test("a quota limits what waits: when the next starts, when the queue is empty, and what limits it", () => {
  const situation = { queue: [row(1204, onQuota, { starts_at: at(4) })], stats: { running: 12, ...empty(9_120) } };
  expect(said(situation)).toBe(
    `1,204 jobs wait, 12 running; the next starts in 4 s; empty at about 14:32; limited by tokens per minute of <${d}>.`,
  );
  expect(summaryOf(situation).advice).toBeUndefined();
});

test("the start is the queue's own estimate, of the row that starts first", () => {
  const queue = [
    row(5, onQuota, { starts_at: at(30) }),
    row(1, onQuota, { starts_at: at(0), priority: "interactive" }),
  ];
  expect(said({ queue, quotas: [quota({ next_free_at: at(20) })] })).toContain("6 jobs wait; the next starts now;");
});

test("a quota that the provider's refusal closed", () => {
  const quotas = [quota({ closed_until: at(45) })];
  expect(said({ queue: [row(1, onQuota, { starts_at: at(45) })], quotas })).toBe(
    `1 job waits; the next starts in 45 s; limited by tokens per minute of <${d}>, which refused calls and opens in 45 s.`,
  );
});

test("a quota of the day", () => {
  const situation = {
    queue: [row(9, onQuota, { starts_at: at(8 * 3600) })],
    quotas: [quota({ per: "day" })],
    stats: empty(9 * 3600),
  };
  expect(said(situation)).toBe(
    `9 jobs wait; the next starts at 20:00; empty at about 21:00; limited by tokens per day of <${d}>.`,
  );
  expect(summaryOf(situation).advice).toMatchObject({ text: expect.stringContaining("raise"), page: "deployments" });
});

test("several models that different quotas limit", () => {
  const other = "bedrock/eu-west-1/claude";
  const onRequests: On = { kind: "quota", deployment: other, quota: "r" };
  const queue = [
    row(200, onRequests, { model: "claude", starts_at: at(9) }),
    row(900, onQuota, { starts_at: at(6) }),
    row(100, onQuota, { starts_at: at(8), environment: "UAT" }),
  ];
  const quotas = [quota(), quota({ name: "r", unit: "requests" })];
  expect(said({ queue, quotas })).toBe(
    "1,200 jobs wait; the next starts in 6 s; " +
      `limited by tokens per minute of <${d}> (1,000 jobs) and limited by requests per minute of <${other}> (200 jobs).`,
  );
  queue.push(row(3, { kind: "concurrency", deployment: "x" }), row(2, { kind: "configuration" }));
  expect(said({ queue, quotas })).toMatch(/\(200 jobs\) and 2 other reasons\.$/);
});

test("everything is paused", () => {
  const queue = [
    row(10, { kind: "paused", reason: "the tenant acme" }),
    row(40, { kind: "paused", reason: "the model llama" }, { priority: "batch" }),
  ];
  const situation = { queue, stats: { models: [{ model: "llama", empty_at: null }], next_ready_at: at(60) } };
  expect(said(situation)).toBe(
    "50 jobs wait; the model llama is paused (40 jobs) and the tenant acme is paused (10 jobs).",
  );
  expect(summaryOf(situation).advice!.text).toContain("Resume");
  const paused = row(1, { kind: "paused", deployment: d, reason: `the deployment ${d}` });
  expect(said({ queue: [paused] })).toBe(`1 job waits; <${d}> is paused.`);
});

test("what is paused does not head the reasons of the rest", () => {
  const queue = [row(500, { kind: "paused", reason: "the tenant acme" }), row(3, onQuota, { starts_at: at(7) })];
  const situation = { queue };
  expect(said(situation)).toBe(
    "503 jobs wait; the next starts in 7 s; " +
      `limited by tokens per minute of <${d}> (3 jobs) and the tenant acme is paused (500 jobs).`,
  );
  expect(summaryOf(situation).advice).toBeUndefined();
});

test("a provider that cools down, and one that is out of service", () => {
  const on: On = { kind: "cool_down", deployment: d, reason: "busy" };
  const cooling = {
    queue: [row(7, on, { starts_at: at(90) })],
    deployments: [deployment({ state: "cooling_down", reason: "busy", until: at(90) })],
  };
  expect(said(cooling)).toBe(
    `7 jobs wait; the next starts in 1 min 30 s; <${d}> is cooling down and tried again in 1 min 30 s.`,
  );
  expect(summaryOf(cooling).advice!.text).toContain("Reinstate");
  const out = { queue: [row(7, { ...on, kind: "out_of_service" as const })] };
  expect(said(out)).toBe(`7 jobs wait; <${d}> is out of service.`);
  expect(summaryOf(out).advice!.text).toContain("Mend the cause");
});

test("no worker takes what may start", () => {
  const queue = [row(5, { kind: "turn" }, { starts_at: at(0), environment: "UAT" })];
  expect(said({ queue, startableMs: 9_000 })).toBe("5 jobs wait; the next starts now.");
  const stuck = { queue, startableMs: 10_000 };
  expect(said(stuck)).toBe("5 jobs wait; no worker takes jobs of UAT.");
  expect(summaryOf(stuck).advice!.text).toContain("Start one");
  expect(summaryOf({ ...stuck, stats: { running: 8 } }).advice!.text).toContain("Every worker is busy");
});

test("only start times in the future", () => {
  const queue = [row(0, null, { delayed: 12 })];
  expect(said({ queue, stats: { next_ready_at: at(600) } })).toBe(
    "12 jobs wait; the next starts in 10 min; all of them wait for their start time or a retry.",
  );
  const both = {
    queue: [row(3, onQuota, { starts_at: at(5), delayed: 4 })],
    stats: { next_ready_at: at(600), ...empty(60) },
  };
  expect(said(both)).toBe(
    "7 jobs wait; the next starts in 5 s; the ready ones have started by about 12:01; " +
      `limited by tokens per minute of <${d}>; 4 wait for their start time or a retry.`,
  );
});

test("no deployment can serve them, or only a few calls at a time, or the queue is rebuilt", () => {
  const lost = { queue: [row(2, { kind: "configuration", reason: "no" })] };
  expect(said(lost)).toBe("2 jobs wait; no deployment of the configuration can serve them.");
  expect(summaryOf(lost).advice!.text).toContain("configuration");
  expect(said({ queue: [row(2, { kind: "concurrency", deployment: d })], stats: { running: 1 } })).toBe(
    `2 jobs wait, 1 running; limited by the number of calls at a time of <${d}>.`,
  );
  expect(said({ queue: [row(2, { kind: "rebuild" })], stats: { scheduler: { open: false } } })).toBe(
    "The queue is being rebuilt from the store; 2 jobs so far.",
  );
});

test("may start: only if that is what most jobs wait for", () => {
  const stats = (queue: WaitingRow[]) =>
    ({ jobs: {}, queue, models: [], next_ready_at: null, running: 0, scheduler: { open: true } }) satisfies Stats;
  expect(mayStart(stats([row(5, { kind: "turn" }), row(9, { kind: "paused", reason: "the model m" })]))).toBe(true);
  expect(mayStart(stats([row(5, { kind: "turn" }), row(9, onQuota)]))).toBe(false);
  expect(mayStart(stats([]))).toBe(false);
});
