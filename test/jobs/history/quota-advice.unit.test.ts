// Which increase a history justifies, and what it does not show.
import { describe, expect, test } from "vitest";
import {
  type AdviceTextOptions,
  cautionsOf,
  formTextOf,
  type QuotaUser,
  reasonOf,
} from "../../../src/jobs/history/advice-text.ts";
import { hourMs, type TimedPeriod } from "../../../src/jobs/history/history-records.ts";
import { minuteOf, PeriodSum, sumOf } from "../../../src/jobs/history/period.ts";
import { type AdvisedQuota, adviseQuota } from "../../../src/jobs/history/quota-advice.ts";

const start = Date.UTC(2030, 0, 31);
const quota: AdvisedQuota = {
  name: "q",
  unit: "tokens",
  per: "minute",
  configuredLimit: 100_000,
  effectiveLimit: 100_000,
  models: ["m"],
};
const options = { targetWaitHours: 1, guardMs: 0 };

interface Minute {
  /** Amount in the window, at each of ten samples. */
  used: number;
  /** How many of the ten samples are limited. */
  limited?: number;
  submitted?: number;
  completed?: number;
  cancelled?: number;
  waiting?: number;
  /** Requests of 1,000 input and 500 output tokens. */
  requests?: number;
}

function minute({ used, limited = 0, requests = 0, waiting = 0, ...jobs }: Minute, model = "m") {
  const sum = new PeriodSum();
  const use = sum.quota("q");
  for (let i = 0; i < 10; i++) sum.countSample();
  Object.assign(use, { samples: 10, limited, usedSum: 10 * used, usedMax: used, requests, answered: requests });
  Object.assign(use, { inputTokens: 1000 * requests, outputTokens: 500 * requests });
  Object.assign(sum.queue("UAT", "standard", model), { ...jobs, waitingMax: waiting });
  return minuteOf([sum.period]);
}

/** Hours of 60 equal minutes each. */
function hours(...each: Minute[]): TimedPeriod[] {
  return each.map((m, i) => ({ at: start + i * hourMs, period: sumOf(Array.from({ length: 60 }, () => minute(m))) }));
}

const idle: Minute = { used: 20_000, submitted: 10, completed: 10, requests: 10 };
/** Ten jobs a minute are done at the limit, so one costs 10,000. */
const full: Minute = { used: 100_000, limited: 10, submitted: 20, completed: 10, requests: 10 };

describe("the requested limit", () => {
  test("is what the jobs of the busiest hour need, and a quarter more", () => {
    const advice = adviseQuota(quota, hours(full, full), options);
    expect(advice).toMatchObject({ status: "increase", demand: 200_000, requestedLimit: 250_000, limitedShare: 1 });
    expect(advice).toMatchObject({ minutes: 120, requests: 1200, busyMinutes: 120, throttles: 0 });
    expect(advice.requestsPerMinute).toEqual({ p50: 10, p90: 10 });
    expect(advice.average).toEqual({ inputTokens: 1000, outputTokens: 500, longInputShare: 0 });
  });

  test("counts only hours in which the quota held up work", () => {
    const rush = { ...idle, submitted: 1000, completed: 10 };
    expect(adviseQuota(quota, hours(idle, rush, idle), options).status).toBe("enough");
    const advice = adviseQuota(quota, hours(idle, full, rush), options);
    expect(advice.busiestAt).toBe(start + hourMs);
  });

  test("is lower if the work may take longer", () => {
    const night = hours(full, { ...full, submitted: 0 }, { ...idle, submitted: 0 }, { ...idle, submitted: 0 });
    const hour = adviseQuota(quota, night, options);
    const fourHours = adviseQuota(quota, night, { ...options, targetWaitHours: 4 });
    expect(hour.demand).toBe(4 * fourHours.demand!);
    expect(fourHours.status).toBe("bursts");
  });

  test("does not count cancelled jobs, nor jobs of models that do not use the quota", () => {
    expect(adviseQuota(quota, hours({ ...full, submitted: 1000, cancelled: 980 }), options).demand).toBe(200_000);
    const { queues } = minute({ used: 0, submitted: 5000 }, "other");
    const others = { minutes: 0, samples: 0, quotas: [], calls: [], queues };
    const all = hours(full).map(({ at, period }) => ({ at, period: sumOf([period, others]) }));
    expect(adviseQuota(quota, all, options).demand).toBe(200_000);
  });

  test("counts what waited when the history began", () => {
    const advice = adviseQuota(quota, hours({ ...full, submitted: 0, waiting: 6000 }), options);
    expect(advice).toMatchObject({ status: "increase", demand: 1_000_000 });
  });

  test("takes the guard out of the samples, whose window is longer than a minute", () => {
    expect(adviseQuota(quota, hours(full), { ...options, guardMs: 60_000 }).demand).toBe(100_000);
  });

  test("of a quota per day is what a day's tokens add up to", () => {
    const day = Array.from({ length: 24 }, () => ({ ...full, used: 1e6, submitted: 30 }));
    const perDay: AdvisedQuota = { ...quota, per: "day", configuredLimit: 30_000_000, effectiveLimit: 30_000_000 };
    // 30 jobs a minute of 1,500 tokens each.
    expect(adviseQuota(perDay, hours(...day), options)).toMatchObject({ status: "increase", demand: 64_800_000 });
  });
});

describe("no increase", () => {
  test("without history, or before a job has ended", () => {
    expect(adviseQuota(quota, [], options)).toMatchObject({ status: "no_history", minutes: 0 });
    expect(adviseQuota({ ...quota, name: "new" }, hours(full), options).status).toBe("no_history");
    expect(adviseQuota(quota, hours({ ...full, completed: 0 }), options).status).toBe("no_history");
    expect(adviseQuota(quota, hours({ used: 0 }), options).status).toBe("enough");
  });

  test("for a quota that held up work for a moment only", () => {
    expect(adviseQuota(quota, hours({ ...full, limited: 0 }), options).status).toBe("enough");
    const burst = adviseQuota(quota, hours({ ...idle, limited: 2 }), options);
    expect(burst).toMatchObject({ status: "bursts", demand: 20_000 });
    expect(burst.requestedLimit).toBeUndefined();
  });

  test("for a learned limit below a configured one that is enough", () => {
    const learned = { ...quota, effectiveLimit: 10_000 };
    const advice = adviseQuota(learned, hours({ ...idle, limited: 10 }), options);
    expect(advice).toMatchObject({ status: "restore", requestedLimit: 100_000 });
    expect(adviseQuota({ ...learned, effectiveLimit: 96_000 }, hours({ ...idle, limited: 10 }), options).status).toBe(
      "bursts",
    );
    expect(adviseQuota(learned, hours(full), options)).toMatchObject({ status: "increase", requestedLimit: 250_000 });
  });
});

test("one minute of history is enough for a number, with a caution", () => {
  const one = [{ at: start, period: sumOf([minute(full)]) }];
  const advice = adviseQuota(quota, one, options);
  expect(advice).toMatchObject({ status: "increase", demand: 200_000, minutes: 1 });
  expect(cautionsOf(advice, text())).toEqual(["The history covers only 1 min and may miss the busiest hours."]);
});

const bedrock: QuotaUser = {
  provider: "bedrock",
  region: "us-east-1",
  modelId: "us.meta.llama3-3-70b-instruct-v1:0",
  isSimulated: false,
  isLegacy: false,
};

function text(...users: QuotaUser[]): AdviceTextOptions {
  return { users: users.length > 0 ? users : [bedrock], targetWaitHours: 1, from: start, to: start + 48 * hourMs };
}

describe("the text", () => {
  const advice = adviseQuota(quota, hours(...Array.from({ length: 48 }, () => full)), options);

  test("has every field that AWS asks for", () => {
    expect(formTextOf(advice, text())).toMatchInlineSnapshot(`
      "Service: Amazon Bedrock, on-demand inference (bedrock-runtime)
      Region: us-east-1
      Model: us.meta.llama3-3-70b-instruct-v1:0
      Cross-Region inference: yes, geographic
      Quota: Cross-region model inference tokens per minute for us.meta.llama3-3-70b-instruct-v1:0
      Current limit: 100,000 tokens per minute
      Requested limit: 250,000 tokens per minute
      Steady state tokens per minute: 14,387
      Peak tokens per minute: 14,387
      Steady state requests per minute: 10
      Peak requests per minute: 10
      Average input tokens per request: 1,000
      Average output tokens per request: 500
      Requests with more than 25,000 input tokens: 0 %
      Share of time at the limit: 100 %
      Projected demand: 200,000 tokens per minute

      Measured from 2030-01-31 00:00Z to 2030-02-02 00:00Z, over 2 days: 28,800 requests, of which 0 were throttled. Steady state and peak are the 50th and 90th percentile of the 2,880 minutes with requests; the present limit held them down. The projected demand is what the work that arrived in the busiest hour needs.
      Our client queues requests, keeps them below the quota, and sends max_tokens with each."
    `);
    expect(reasonOf(advice, text())).toMatchInlineSnapshot(
      `"It held up jobs for 100 % of the time. In the busiest hour (from 2030-01-31 00:00Z), jobs arrived that need 200,000 tokens per minute. The requested limit is 25 % higher, to leave room for bursts and growth."`,
    );
    expect(cautionsOf(advice, text())).toEqual([]);
  });

  test("names all users of a shared quota, and AWS's name of the model if it is known", () => {
    const other = { ...bedrock, region: "us-west-2", account: "second", listedAs: "Meta Llama 3.3 70B Instruct" };
    const lines = formTextOf(advice, text(other, bedrock))!.split("\n");
    expect(lines).toEqual(
      expect.arrayContaining([
        "Region: us-west-2, us-east-1",
        "Account: second",
        "Quota: Cross-region model inference tokens per minute for Meta Llama 3.3 70B Instruct",
      ]),
    );
  });

  test("says whom to ask if the server is not AWS's", () => {
    const server: QuotaUser = {
      ...bedrock,
      provider: "openai",
      region: "local",
      modelId: "llama",
      host: "10.0.0.7:8000",
    };
    const words = text(server);
    expect(cautionsOf(advice, words)).toEqual([
      "The operator of 10.0.0.7:8000 decides about this quota, so AWS's form does not apply.",
    ]);
    expect(formTextOf(advice, words)).not.toMatch(/Bedrock|Cross/);
  });

  test.each<[string, Partial<AdvisedQuota>, Partial<QuotaUser>, RegExp]>([
    ["requests", { unit: "requests" }, {}, /together with tokens per minute/],
    ["tokens per day", { per: "day" }, {}, /Support case only/],
    ["a Legacy model", {}, { isLegacy: true }, /Legacy/],
    ["the simulator", {}, { isSimulated: true }, /simulator answered/],
    ["a learned limit", { effectiveLimit: 80_000 }, {}, /now refuses calls above about 80,000 tokens per minute/],
  ])("warns about %s", (_, changed, user, caution) => {
    const changedAdvice = { ...advice, quota: { ...quota, ...changed } };
    expect(cautionsOf(changedAdvice, text({ ...bedrock, ...user })).join("\n")).toMatch(caution);
  });

  test("gives a reason for every status", () => {
    const reasons = [
      adviseQuota(quota, [], options),
      adviseQuota(quota, hours({ ...full, completed: 0 }), options),
      adviseQuota(quota, hours(idle), options),
      adviseQuota(quota, hours({ ...idle, limited: 2 }), options),
      adviseQuota({ ...quota, effectiveLimit: 10_000 }, hours({ ...idle, limited: 10 }), options),
    ].map((each) => [each.status, reasonOf(each, text()), formTextOf(each, text()) !== undefined]);
    expect(reasons).toMatchInlineSnapshot(`
      [
        [
          "no_history",
          "There is no history of this quota yet. Ask again after a day of work.",
          false,
        ],
        [
          "no_history",
          "No job has ended yet, so what a job costs is unknown. Ask again after a day of work.",
          false,
        ],
        [
          "enough",
          "No increase needed: no job waited for this quota.",
          false,
        ],
        [
          "bursts",
          "No increase needed. It held up jobs for 20 % of the time, but the busiest hour (from 2030-01-31 00:00Z) brought work for 20 % of the limit. Jobs waited because many came at once.",
          false,
        ],
        [
          "restore",
          "The provider refuses calls above about 10,000 tokens per minute. The configured limit, 100,000, would be enough: ask the provider to apply it to your account.",
          true,
        ],
      ]
    `);
  });
});
