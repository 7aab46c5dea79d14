// What a process records: events and samples by minute, stored when the minute is over, and kept while the store fails.
import { beforeEach, describe, expect, test } from "vitest";
import { resolve } from "../../../src/config/resolve.ts";
import type { AttemptEnd } from "../../../src/domain/job.ts";
import { HistoryRecorder } from "../../../src/jobs/history/history-recorder.ts";
import { minuteMs } from "../../../src/jobs/history/history-records.ts";
import { type Period, sumOf } from "../../../src/jobs/history/period.ts";
import type { QuotaSnapshot, SchedulerSnapshot, WaitingRow } from "../../../src/scheduler/scheduler-reports.ts";
import type { ThrottleKind } from "../../../src/telemetry/metrics.ts";

const start = Date.UTC(2030, 0, 31, 12);
const model = "llama3-3-70b";
const { settings } = resolve({
  models: {
    [model]: {
      deployments: [
        {
          region: "us-east-1",
          modelId: "us.meta.llama3-3-70b-instruct-v1:0",
          quotas: [
            { unit: "requests", per: "minute", limit: 3 },
            { unit: "tokens", per: "minute", limit: 20_000 },
          ],
        },
      ],
    },
    "nova-lite": { deployments: [{ region: "eu-west-1", modelId: "eu.amazon.nova-lite-v1:0" }] },
  },
});
const deployment = "bedrock/us-east-1/us.meta.llama3-3-70b-instruct-v1:0";
const [requestsQuota, tokensQuota] = [`${deployment}:requests/minute`, `${deployment}:tokens/minute`];
const job = { environment: "UAT", priority: "standard", tenant: "t", model } as const;

let now: number;
let stored: { id: string; value: Period }[];
let failure: Error | undefined;
let recorder: HistoryRecorder;

beforeEach(() => {
  now = start;
  stored = [];
  failure = undefined;
  const records = {
    insert: async (_: unknown, [record]: [{ id: string; value: Period }]) => {
      if (failure) throw failure;
      stored.push(record);
      return ["inserted"];
    },
  };
  recorder = new HistoryRecorder({ settings, store: { records } as never, clock: { wall: () => now } }, "p");
});

const timesOf = () => stored.map(({ id }) => (Number.parseInt(id.split("/")[1]!, 10) - start) / minuteMs);

function end(changes: Partial<AttemptEnd> = {}, throttle?: ThrottleKind) {
  const attempt = { deployment, model };
  recorder.callEnded({ job, attempt, end: { result: "completed", at: now, ...changes }, throttle });
}

/** The quota as it is stored for the minute that is under way. */
async function close() {
  await recorder.close();
  const value = sumOf([stored.at(-1)!.value]);
  return { ...value, quota: (name: string) => value.quotas.find((quota) => quota.name === name) };
}

describe("events", () => {
  test("a call counts for its deployment and each of its quotas", async () => {
    end({ usage: { input: 100, output: 50, cacheRead: 20, cacheWrite: 3 } });
    end({ usage: { input: 30_000, output: 1 } });
    end({ result: "transient" });
    end({ result: "not_sent" });
    end({ result: "completed", usage: { input: Number.NaN, output: -1 } });
    const { calls, quota } = await close();
    expect(calls).toEqual([
      { model, deployment, attempts: 4, completed: 3, throttled: 0, failed: 1, inputTokens: 30_123, outputTokens: 51 },
    ]);
    for (const name of [requestsQuota!, tokensQuota!]) {
      expect(quota(name)).toMatchObject({
        requests: 4,
        answered: 3,
        inputTokens: 30_123,
        outputTokens: 51,
        longInputs: 1,
      });
    }
  });

  test.each<[ThrottleKind, requests: number, tokens: number]>([
    ["requests", 1, 0],
    ["tokens", 0, 1],
    ["tokens_per_day", 0, 0],
    ["unknown", 1, 1],
  ])("a refusal for %s counts for the quotas that may have caused it", async (throttle, requests, tokens) => {
    end({ result: "throttled" }, throttle);
    const { quota } = await close();
    expect([quota(requestsQuota!)!.throttles, quota(tokensQuota!)!.throttles]).toEqual([requests, tokens]);
  });

  test("jobs count by environment, priority and model; names that are not configured count as other", async () => {
    recorder.jobSubmitted(job);
    recorder.callStarted(job, 1500);
    recorder.jobFinished(job, "completed");
    recorder.jobFinished(job, "expired");
    recorder.jobFinished({ environment: "UAT", model: "__proto__" }, "cancelled");
    const { queues } = await close();
    const counts = { submitted: 1, completed: 1, failed: 1, cancelled: 0 };
    expect(queues[0]).toMatchObject({ environment: "UAT", priority: "standard", model, ...counts });
    expect(Object.values(queues[0]!.waitedMs)).toEqual([1]);
    expect(queues[1]).toMatchObject({ model: "other", cancelled: 1 });
  });
});

describe("samples", () => {
  const quotaOf = (name: string, used: number): QuotaSnapshot =>
    ({ name, used, reserved: 1, settled: used - 1, configuredLimit: 100, effectiveLimit: 80 }) as QuotaSnapshot;
  const row = (changes: Partial<WaitingRow>): WaitingRow => ({ ...job, ready: 0, delayed: 0, ...changes });
  const sample = (waiting: WaitingRow[], used = 10, open = true) => {
    const quotas = [quotaOf(requestsQuota!, used), quotaOf(tokensQuota!, 10)];
    recorder.sample({ open, quotas, waiting } as SchedulerSnapshot);
  };

  test("quotas and depths are summed up over the samples", async () => {
    sample([row({ ready: 2, delayed: 1, oldestOrder: start - 5000 })]);
    sample([], 30);
    sample([row({ ready: 1, oldestOrder: start - 2000 })], 20, false);
    const { samples, quota, queues } = await close();
    expect(samples).toBe(2);
    const limits = { configuredSum: 200, effectiveSum: 160 };
    expect(quota(requestsQuota!)).toMatchObject({ samples: 2, usedSum: 40, usedMax: 30, reservedSum: 2, ...limits });
    expect(queues).toMatchObject([{ waitingSum: 3, waitingMax: 3, oldestMaxMs: 5000 }]);
  });

  const waitingOn = { kind: "quota" as const, deployment, quota: tokensQuota! };
  test.each<[string, WaitingRow[], used: number, limited: [requests: number, tokens: number]]>([
    ["nothing waits", [], 80, [0, 0]],
    ["a job waits for it", [row({ ready: 1, waitingOn })], 10, [0, 1]],
    ["95 % are used while jobs wait that need it", [row({ ready: 1, waitingOn: { kind: "fairness" } })], 76, [1, 0]],
    ["less is used", [row({ ready: 1, waitingOn: { kind: "fairness" } })], 75, [0, 0]],
    ["jobs wait for a delay only", [row({ delayed: 1 })], 80, [0, 0]],
    ["jobs of another model wait", [row({ model: "nova-lite", ready: 1 })], 80, [0, 0]],
  ])("a quota is at its limit if %s", async (_, waiting, used, limited) => {
    sample(waiting, used);
    const { quota } = await close();
    expect([quota(requestsQuota!)!.limited, quota(tokensQuota!)!.limited]).toEqual(limited);
  });
});

describe("storing", () => {
  test("a minute is stored once it is over, under an id of its own", async () => {
    end();
    await recorder.flush();
    expect(stored).toEqual([]);
    now += minuteMs - 1;
    end();
    now += 1;
    await recorder.flush();
    await recorder.flush();
    expect(stored.map(({ id, value }) => [id, value.calls[0]!.attempts])).toEqual([[`part/000${start}.p.0`, 2]]);
  });

  test("a clock that steps back adds a part to the earlier minute", async () => {
    now += minuteMs;
    end();
    now -= minuteMs;
    end();
    now += minuteMs;
    end();
    await recorder.close();
    expect(timesOf()).toEqual([1, 0, 1]);
    expect(new Set(stored.map(({ id }) => id)).size).toBe(3);
  });

  test("minutes wait for an unavailable store, up to two hours of them", async () => {
    failure = new Error("unavailable");
    for (let minute = 0; minute < 125; minute++) {
      end();
      now += minuteMs;
      await expect(recorder.flush()).rejects.toThrow("unavailable");
    }
    failure = undefined;
    await recorder.flush();
    expect(timesOf()).toEqual(Array.from({ length: 120 }, (_, i) => i + 5));
  });

  test("a process in which nothing happened stores nothing", async () => {
    now += minuteMs;
    await recorder.close();
    expect(stored).toEqual([]);
  });
});
