// What leaves this process, measured at the provider: never more than a quota allows in any window.
import { afterEach, expect, test } from "vitest";
import { type Harness, oneModel, openHarness } from "./support/harness.ts";

let h: Harness;
afterEach(() => h.close());

const perMinute = (limit: number) => oneModel([{ unit: "requests", per: "minute", limit }]);

/** The most calls that were sent within any 60 s. */
function mostInAWindow(times: readonly number[]): number {
  return Math.max(...times.map((from) => times.filter((t) => t >= from && t < from + 60_000).length));
}

test("3 per minute: of 10 prompts three start at once, and three more whenever the minute is over", async () => {
  h = await openHarness({ file: { models: perMinute(3) }, respond: (call) => call.answer() });
  h.worker.start();
  const jobs = await Promise.all(Array.from({ length: 10 }, (_, i) => h.submit(`prompt ${i}`)));
  await h.advance(5 * 60_000);

  const { sendWithinMs, networkJitterMs } = h.context.settings.scheduler;
  const window = 60_000 + sendWithinMs + networkJitterMs;
  const rounds = h.provider.calls.map((call) => Math.floor(call.at / window));
  expect(h.provider.calls.slice(0, 3).map((call) => call.at)).toEqual([0, 0, 0]);
  expect(rounds).toEqual([0, 0, 0, 1, 1, 1, 2, 2, 2, 3]);
  expect(mostInAWindow(h.provider.calls.map((call) => call.at))).toBe(3);
  for (const job of jobs) expect((await h.record(job)).state).toBe("completed");
});

test("a store that stalls for 5 s between charge and call puts no more into any window", async () => {
  const stalls = [5000, 0, 4999, 0, 0, 5000, 700, 0, 0, 5000, 400, 0];
  h = await openHarness({
    file: { models: perMinute(4), worker: { concurrency: 1 } },
    respond: (call) => call.answer(),
    store: (real, time) => ({
      async beginAttempt(begin) {
        const result = await real.beginAttempt(begin);
        time.stall(stalls.shift() ?? 0);
        return result;
      },
    }),
  });
  h.worker.start();
  const jobs = await Promise.all(Array.from({ length: 12 }, (_, i) => h.submit(`prompt ${i}`)));
  await h.advance(10 * 60_000);
  for (const job of jobs) expect((await h.record(job)).state).toBe("completed");
  expect(mostInAWindow(h.provider.calls.map((call) => call.at))).toBe(4);
});

test("calls that begin together and take long to be made ready put no more into any window", async () => {
  const left: number[] = [];
  h = await openHarness({
    file: { models: perMinute(60) },
    // As with the SDK of a process that has just started: slow at first, and after a wait of its own.
    respond: (call) =>
      queueMicrotask(() => {
        h.time.stall(left.length < 60 ? 20 : 0);
        left.push(h.time.now());
        call.answer();
      }),
  });
  h.worker.start();
  const jobs = await Promise.all(Array.from({ length: 130 }, (_, i) => h.submit(`prompt ${i}`)));
  await h.advance(5 * 60_000);
  for (const job of jobs) expect((await h.record(job)).state).toBe("completed");
  expect(mostInAWindow(left)).toBeLessThanOrEqual(60);
});

test("a call that loses the processor just before it leaves counts from when it left", async () => {
  const left: number[] = [];
  h = await openHarness({
    file: { models: perMinute(4), worker: { concurrency: 1 } },
    respond(call) {
      h.time.stall(left.length % 8 === 0 ? 5000 : 0);
      left.push(h.time.now());
      call.answer();
    },
  });
  h.worker.start();
  const jobs = await Promise.all(Array.from({ length: 16 }, (_, i) => h.submit(`prompt ${i}`)));
  await h.advance(10 * 60_000);
  for (const job of jobs) expect((await h.record(job)).state).toBe("completed");
  expect(mostInAWindow(left)).toBe(4);
});

test("waiting jobs are counted exactly, so that more of them fit", async () => {
  // As estimated at submit two fit into the quota; as counted, three.
  const text = "the quick brown fox jumps over the lazy dog ".repeat(20);
  h = await openHarness({
    file: { models: oneModel([{ unit: "tokens", per: "minute", limit: 10_000 }]) },
    respond: (call) => call.answer({ usage: undefined }),
  });
  const jobId = await h.submit(text);
  const estimated = (await h.record(jobId)).job.tokens;
  await h.submit(text);
  h.worker.start();
  await h.quiet();
  const limit = h.context.settings.models.llama!.deployments[0]!.quotas[0]!.limit;
  const fill = Math.floor(limit / (estimated.input + estimated.output)) + 5;
  const jobs = await Promise.all(Array.from({ length: fill }, () => h.submit(text)));
  await h.advance(120_000);
  const last = (await h.record(jobs.at(-1)!)).attempts.at(-1)!;
  expect(last.reserved.input).toBeLessThan(estimated.input);
  expect(last.reserved.output).toBe(100);
});

test("usage outlives a restart: the window of the process before still counts", async () => {
  const file = { models: perMinute(3) };
  const before = await openHarness({ file, respond: (call) => call.answer() });
  before.worker.start();
  const jobs = await Promise.all(Array.from({ length: 5 }, (_, i) => before.submit(`prompt ${i}`)));
  await before.advance(20_000);
  await before.abandon();

  h = await openHarness({ after: before, file, respond: (call) => call.answer() });
  h.worker.start();
  await h.advance(5 * 60_000);
  const sent = [...before.provider.calls, ...h.provider.calls].map((call) => call.at);
  expect(sent).toHaveLength(5);
  expect(mostInAWindow(sent)).toBe(3);
  for (const job of jobs) expect((await h.record(job)).state).toBe("completed");
});
