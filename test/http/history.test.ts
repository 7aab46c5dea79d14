// The history and the advice about quotas, as the API and the command line show them.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hourMs, minuteMs, storePart } from "../../src/jobs/history/history-records.ts";
import { type Period, PeriodSum } from "../../src/jobs/history/period.ts";
import { type ServerUnderTest, startServerUnderTest } from "./server-under-test.ts";

const start = Date.UTC(2030, 0, 31, 12);
const now = start + 2 * hourMs;
const clock = { now: () => performance.now(), wall: () => now };
const deployment = "bedrock/us-east-1/us.meta.llama3-3-70b-instruct-v1:0";
const quotaName = `${deployment}:tokens/minute`;

let server: ServerUnderTest;
beforeAll(async () => {
  server = await startServerUnderTest({}, undefined, { clock });
  const { store } = server.context;
  const starts = Array.from({ length: 119 }, (_, minute) => start + minute * minuteMs);
  const processes = ["a", "b"];
  await Promise.all(starts.flatMap((at) => processes.map((id) => storePart(store, { at, period: part() }, id))));
});
afterAll(() => server?.close());

/** What one of two processes did in a minute: five jobs came, two were done, and their quota was full. */
function part(): Period {
  const sum = new PeriodSum();
  sum.countSample();
  sum.countSample();
  Object.assign(sum.quota(quotaName), {
    ...{ samples: 2, limited: 1, usedSum: 38_000, usedMax: 20_000, reservedSum: 4_000, configuredSum: 40_000 },
    ...{ effectiveSum: 30_000, requests: 2, answered: 2, inputTokens: 4_000, outputTokens: 1_000, throttles: 1 },
  });
  Object.assign(sum.callsOf("llama3-3-70b", deployment), { attempts: 2, completed: 2, inputTokens: 4_000 });
  Object.assign(sum.queue("UAT", "standard", "llama3-3-70b"), {
    ...{ submitted: 5, completed: 2, waitingSum: 20, waitingMax: 12, oldestMaxMs: 30_000, waitedMs: { 81: 2 } },
  });
  return sum.period;
}

describe("GET /v1/history", () => {
  const path = (query: Record<string, string>) => `/v1/history?${new URLSearchParams(query)}`;
  const at = (ms: number) => new Date(ms).toISOString();

  test("has a value for each minute, of all processes together", async () => {
    const { status, body } = await server.get(path({ from: at(now - 3 * minuteMs) }));
    expect(status).toBe(200);
    expect(body).toMatchObject({ resolution: "minute", from: at(now - 3 * minuteMs), to: at(now) });
    expect(body.times).toEqual([3, 2, 1].map((ago) => at(now - ago * minuteMs)));
    expect(body.quotas).toEqual([
      {
        name: quotaName,
        used: [19_000, 19_000, null],
        used_max: [20_000, 20_000, null],
        reserved: [2_000, 2_000, null],
        configured_limit: [20_000, 20_000, null],
        effective_limit: [15_000, 15_000, null],
        time_at_limit: [0.5, 0.5, null],
        requests: [4, 4, null],
        input_tokens: [8_000, 8_000, null],
        output_tokens: [2_000, 2_000, null],
        throttles: [2, 2, null],
      },
    ]);
    expect(body.calls).toMatchObject([{ model: "llama3-3-70b", deployment, attempts: [4, 4, null] }]);
    const queue = { submitted: [10, 10, null], waiting: [10, 10, null], oldest_waiting_s: [30, 30, null] };
    expect(body.queues).toMatchObject([{ environment: "UAT", priority: "standard", ...queue }]);
    expect(body.models).toMatchObject([{ model: "llama3-3-70b", ...queue }]);
    expect(body.queues[0].waited_p50_s[0]).toBeCloseTo(1.024, 1);
  });

  test("adds minutes up to hours", async () => {
    const { body } = await server.get(path({ resolution: "hour" }));
    expect(body.times).toHaveLength(24);
    expect(body.quotas[0].requests.slice(-3)).toEqual([null, 240, 236]);
    expect(body.quotas[0].time_at_limit.at(-1)).toBe(0.5);
    expect(body.queues[0].waiting.at(-1)).toBe(10);
  });

  test("a queue in which nothing happened counts 0, and what it would sample is null", async () => {
    await storePart(server.context.store, { at: start - minuteMs, period: { ...part(), queues: [] } }, "a");
    const range = { from: at(start - minuteMs), to: at(start + minuteMs) };
    const { body } = await server.get(path(range));
    expect(body.queues[0]).toMatchObject({
      submitted: [0, 10],
      waiting: [0, 10],
      waited_p50_s: [null, expect.any(Number)],
    });
  });

  test.each([
    [{ from: "yesterday" }, "from"],
    [{ from: at(now), to: at(now - hourMs) }, "from"],
    [{ from: at(now - 26 * hourMs) }, "from"],
    [{ resolution: "day" }, "resolution"],
    [{ step: "1" }, "step"],
  ])("%j is refused, and the message names the field", async (query, field) => {
    const { status, body } = await server.get(path(query));
    expect([status, body.error.code, body.error.field]).toEqual([400, "invalid_request", field]);
  });
});

describe("GET /v1/quotas/advice", () => {
  test("gives the limit to ask for, and the text for the form", async () => {
    const { status, body } = await server.get("/v1/quotas/advice?days=1");
    expect(status).toBe(200);
    expect(body).toMatchObject({ from: new Date(start - hourMs).toISOString(), history_minutes: 120 });
    expect(body.quotas.map((each: { quota: string; status: string }) => [each.quota, each.status])).toEqual([
      [`${deployment}:requests/minute`, "no_history"],
      [quotaName, "increase"],
      ["bedrock/eu-west-1/eu.amazon.nova-lite-v1:0:tokens/minute", "no_history"],
    ]);
    const advice = body.quotas[1];
    expect(advice).toMatchObject({ configured_limit: 20_000, time_at_limit: 0.5, form: "aws_service_quotas" });
    expect(advice).toMatchObject({ average_input_tokens: 2_000, average_output_tokens: 500 });
    // 10 jobs came each minute, and 4 used what fits into a minute.
    expect(advice.demand).toBeGreaterThan(40_000);
    expect(advice.requested_limit).toBeGreaterThan(advice.demand);
    expect(advice.text).toContain(
      `Requested limit: ${advice.requested_limit.toLocaleString("en-US")} tokens per minute`,
    );
    expect(advice.cautions).toContainEqual(expect.stringContaining("covers only 2 h"));

    const { body: relaxed } = await server.get("/v1/quotas/advice?target_wait_hours=24");
    expect(relaxed.quotas[1].demand).toBeLessThanOrEqual(advice.demand);
  });

  test.each([["days=0"], ["days=31"], ["target_wait_hours=25"], ["target_wait_hours=x"]])(
    "%s is refused",
    async (query) => {
      const { status, body } = await server.get(`/v1/quotas/advice?${query}`);
      expect([status, body.error.field]).toEqual([400, query.split("=")[0]]);
    },
  );
});

test("both need an admin key", async () => {
  const { body: admin } = await server.post("/v1/keys", { name: "admin", admin: true });
  const { body: user } = await server.as(admin.key).post("/v1/keys", { name: "user" });
  for (const path of ["/v1/history", "/v1/quotas/advice"]) {
    expect((await server.as(user.key).get(path)).body.error.code).toBe("forbidden");
  }
});
