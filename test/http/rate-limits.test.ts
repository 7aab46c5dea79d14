// The headers with what is left of quotas, in the form of each API. The test plays the worker: it is granted the jobs, which
// charges the quotas.
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import type { FileSettings } from "../../src/config/config-schema.ts";
import { eventLine } from "../../src/native/event-lines.ts";
import { openTestStore, type TestStore } from "../support/jobs-context.ts";
import { urlOf } from "./openai/client.ts";
import { type ServerUnderTest, startServerUnderTest } from "./server-under-test.ts";

const start = Date.parse("2030-01-31T12:00:00.250Z");
/** Does not run by itself. */
const time = { ms: 0 };
const clock = { now: () => time.ms, wall: () => start + time.ms };
const sonnetId = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
const minute = (unit: "requests" | "tokens" | "input_tokens" | "output_tokens", limit: number, name?: string) => ({
  ...{ unit, per: "minute" as const, limit },
  ...(name !== undefined && { name }),
});
const models: FileSettings["models"] = {
  sonnet: {
    maxOutputTokens: 100,
    deployments: [
      {
        region: "us-east-1",
        modelId: sonnetId,
        quotas: [
          minute("requests", 10),
          minute("tokens", 100_000),
          minute("input_tokens", 50_000),
          minute("output_tokens", 40_000),
          { unit: "tokens", per: "day", limit: 90_000 },
        ],
      },
    ],
  },
  // Two places, of which one has more room.
  nova: {
    deployments: [
      { region: "us-east-1", modelId: "us.amazon.nova-lite-v1:0", quotas: [minute("requests", 2)] },
      { region: "us-west-2", modelId: "us.amazon.nova-lite-v1:0", quotas: [minute("requests", 5)] },
    ],
  },
  free: { deployments: [{ region: "us-east-1", modelId: "us.meta.llama3-3-70b-instruct-v1:0" }] },
};

let shared: TestStore;
beforeAll(async () => {
  shared = await openTestStore();
});
afterAll(() => shared.close());

let server: ServerUnderTest;
let accepted: string[];
beforeEach(async () => {
  time.ms = 1_000_000;
  accepted = [];
  server = await startServerUnderTest({ models, defaultModel: "sonnet" }, shared, { clock });
  server.context.events.publishAccepted = (jobs) => accepted.push(...jobs.map(({ id }) => id));
  return () => server.close();
});

const within = { timeout: 10_000, interval: 5 };
let operations = 0;

/** Waits for a job, is granted it, and ends it `afterMs` later. Returns its deployment. */
async function run(afterMs = 1_001, native?: object): Promise<string> {
  await vi.waitFor(() => expect(accepted.length).toBeGreaterThan(0), within);
  const jobId = accepted.shift()!;
  const { scheduler } = server.context;
  const { deployment } = await vi.waitFor(async () => {
    const { grants } = await scheduler.acquire({ operation: `limits ${++operations}`, worker: "w", max: 1 });
    expect(grants.map((grant) => grant.jobId)).toEqual([jobId]);
    return grants[0]!;
  }, within);
  await server.context.begin(jobId);
  time.ms += afterMs;
  const outcome = { status: "completed" as const, text: "Because.", attempt: 1, ...(native && { native }) };
  await server.context.end(jobId, outcome, { result: "completed" });
  return deployment;
}

const limitsOf = (headers: Iterable<[string, unknown]>) =>
  Object.fromEntries([...headers].filter(([name]) => name.includes("ratelimit")));

const chat = (model: string, more: object = {}) =>
  server.post("/v1/chat/completions", { model, messages: [{ role: "user", content: "Why?" }], ...more });
const message = { model: "sonnet", max_tokens: 100, messages: [{ role: "user", content: "Why?" }] };

describe("OpenAI's form", () => {
  test("says what is left after the call, of the tightest quota of each unit", async () => {
    const sent = chat("sonnet");
    await run();
    const { headers } = await sent;
    const limits = limitsOf(Object.entries(headers));
    // The quota per day is the tighter one.
    expect(limits).toEqual({
      "x-ratelimit-limit-requests": "10",
      "x-ratelimit-remaining-requests": "9",
      "x-ratelimit-reset-requests": expect.stringMatching(/^(1m)?[\d.]+s$/),
      "x-ratelimit-limit-tokens": "90000",
      "x-ratelimit-remaining-tokens": expect.stringMatching(/^89\d{3}$/),
      "x-ratelimit-reset-tokens": expect.stringMatching(/^\d+h\d+m[\d.]+s$/),
    });
  });

  test("is on responses as well", async () => {
    const sent = server.post("/v1/responses", { model: "sonnet", input: "Why?" });
    await run();
    expect((await sent).headers["x-ratelimit-remaining-requests"]).toBe("9");
  });

  test("is on failures of a job", async () => {
    const sent = chat("sonnet");
    await vi.waitFor(() => expect(accepted.length).toBe(1), within);
    await server.context.begin(accepted[0]!);
    const error = { code: "tries_exhausted", message: "All attempts failed." };
    await server.context.end(accepted[0]!, { status: "failed", error }, { result: "transient", error });
    expect(await sent).toMatchObject({ status: 502, headers: { "x-ratelimit-remaining-requests": "10" } });
  });

  test("is that of the deployment with most room", async () => {
    const used: Record<string, number> = { "us-east-1": 0, "us-west-2": 0 };
    const limits: Record<string, number> = { "us-east-1": 2, "us-west-2": 5 };
    for (let calls = 1; calls <= 4; calls++) {
      const sent = chat("nova");
      const deployment = await run();
      used[deployment.split("/")[1]!]!++;
      const { headers } = await sent;
      const left = Object.entries(limits).map(([region, limit]) => ({ limit, remaining: limit - used[region]! }));
      const [best] = left.sort((a, b) => b.remaining / b.limit - a.remaining / a.limit);
      expect(headers).toMatchObject({
        "x-ratelimit-limit-requests": String(best!.limit),
        "x-ratelimit-remaining-requests": String(best!.remaining),
      });
    }
    expect(Math.min(...Object.values(used))).toBeGreaterThan(0);
  });

  test("is absent without quotas", async () => {
    const sent = chat("free");
    await run();
    expect(limitsOf(Object.entries((await sent).headers))).toEqual({});
  });
});

describe("Anthropic's form", () => {
  const native = { body: '{"type":"message"}' };

  test("has a time for the reset, and each unit", async () => {
    const sent = server.post("/v1/messages", message);
    await run(1_001, native);
    const limits = limitsOf(Object.entries((await sent).headers));
    const of = (unit: string, limit: string, remaining: unknown, reset: unknown) => ({
      [`anthropic-ratelimit-${unit}-limit`]: limit,
      [`anthropic-ratelimit-${unit}-remaining`]: remaining,
      [`anthropic-ratelimit-${unit}-reset`]: reset,
    });
    const soon = expect.stringMatching(/^2030-01-31T12:17:\d\dZ$/);
    expect(limits).toEqual({
      ...of("requests", "10", "9", soon),
      ...of("tokens", "90000", expect.stringMatching(/^89\d{3}$/), expect.stringMatching(/^2030-02-01T12:\d\d:\d\dZ$/)),
      ...of("input-tokens", "50000", expect.stringMatching(/^49\d{3}$/), soon),
      ...of("output-tokens", "40000", expect.stringMatching(/^39\d{3}$/), soon),
    });
  });

  test("is on a stream, from its start", async () => {
    const url = await urlOf(server.app);
    const opened = fetch(`${url}/v1/messages`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ ...message, stream: true }),
    });
    const payload = JSON.stringify({ bytes: btoa('{"type":"message_stop"}') });
    await run(1_001, { events: eventLine("chunk", payload) });
    const { headers, text } = await opened.then(async (response) => ({
      headers: limitsOf(response.headers),
      text: await response.text(),
    }));
    expect(text).toContain("event: message_stop");
    expect(headers).toMatchObject({
      "anthropic-ratelimit-requests-limit": "10",
      "anthropic-ratelimit-requests-remaining": "10",
      // Nothing is used: it was full when the call began.
      "anthropic-ratelimit-requests-reset": "2030-01-31T12:16:41Z",
    });
    server.app.server.closeAllConnections();
  });
});

describe("the scheduler", () => {
  test("is read at most twice a second", async () => {
    const { scheduler } = server.context;
    const read = vi.spyOn(scheduler, "snapshot");
    for (let i = 0; i < 4; i++) {
      const sent = chat("free");
      await run(100);
      await sent;
    }
    expect(read).toHaveBeenCalledTimes(1);
    time.ms += 1_000;
    const sent = chat("free");
    await run(0);
    await sent;
    expect(read.mock.calls.length).toBe(2);
  });

  test.each<[string, () => Promise<never>]>([
    ["that fails", () => Promise.reject(new Error("Redis is unreachable."))],
    ["that does not answer", () => new Promise<never>(() => {})],
  ])("%s costs the headers, not the answer", async (_what, snapshot) => {
    server.context.scheduler.snapshot = snapshot;
    const sent = chat("sonnet");
    await run();
    const { status, headers } = await sent;
    expect(status).toBe(200);
    expect(limitsOf(Object.entries(headers))).toEqual({});
  });
});
