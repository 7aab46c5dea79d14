// What a job waited for, on record with each attempt: the parts add up to the wait, whatever it was.
import { expect, test } from "vitest";
import type { WaitPart } from "../../src/domain/wait-parts.ts";
import { waitParts } from "../../src/domain/waiting.ts";
import { submit } from "../../src/jobs/submit/submit.ts";
import type { CanonicalInput } from "../../src/jobs/submit/submit-input.ts";
import { jobResource } from "../../src/wire/job-resource.ts";
import { recordingTracing } from "../telemetry/recorded-spans.ts";
import { deployment, type Harness, oneModel, runningWorkers } from "./support/harness.ts";

const open = runningWorkers();
const onePerMinute = oneModel([{ unit: "requests", per: "minute", limit: 1 }]);
const quota = `${deployment}:requests/minute`;

/** Returns the parts of each attempt's wait, after checking that they add up to it. */
async function waitsOf({ record }: Harness, id: string): Promise<(readonly WaitPart[])[]> {
  const { job, attempts, ...rest } = await record(id);
  let from = job.submittedAt;
  const resource = jobResource({ job, attempts, ...rest }, 0);
  return attempts.map((attempt, i) => {
    const parts = waitParts(job, attempt, attempts.slice(0, i));
    const total = Math.round(attempt.chargedAt) - Math.round(from);
    expect(parts.reduce((sum, { ms }) => sum + ms, 0)).toBe(total);
    expect(resource.attempts[i]).toMatchObject({
      waited_ms: total,
      waited: parts.map(({ kind, subject = null, ms }) => ({ kind, subject, ms })),
    });
    from = attempt.end!.at;
    return parts;
  });
}

test("a job that starts at once has waited for its turn only, and nothing is stored", async () => {
  const harness = await open({ waits: true, respond: (call) => call.answer() });
  const id = await harness.submit("a");
  await harness.quiet();
  const { attempts } = await harness.record(id);
  expect(attempts[0]!.end).not.toHaveProperty("waited");
  expect(await waitsOf(harness, id)).toEqual([[]]);
});

test("a job behind a quota has waited for that quota", async () => {
  const tracing = recordingTracing();
  const harness = await open({
    waits: true,
    tracing,
    file: { models: onePerMinute },
    respond: (call) => call.answer(),
  });
  await harness.submit("first");
  await harness.quiet();
  const id = await harness.submit("second");
  await harness.advance(120_000);
  const [parts] = await waitsOf(harness, id);
  expect(parts).toEqual([{ kind: "quota", subject: quota, ms: expect.any(Number) }]);
  expect(parts![0]!.ms).toBeGreaterThan(55_000);
  const [, span] = tracing.named("queue");
  expect(span).toMatchObject({ durationMs: parts![0]!.ms });
  expect(span!.attributes).toMatchObject({
    "sluice.wait.ms": parts![0]!.ms,
    "sluice.wait.quota_ms": parts![0]!.ms,
  });
  expect(span!.events).toEqual([
    {
      name: "waited",
      attributes: {
        "sluice.wait.reason": "quota",
        "sluice.wait.subject": quota,
        "sluice.wait.ms": parts![0]!.ms,
      },
    },
  ]);
});

test("delays are exact: until not_before, and until the time of a retry", async () => {
  let tries = 0;
  const harness = await open({
    waits: true,
    respond: (call) =>
      ++tries === 1 ? call.fail({ kind: "transient", code: "model_unavailable", retryAfterMs: 20_000 }) : call.answer(),
  });
  const id = await harness.submit("a", { notBefore: { inMs: 10_000 } });
  await harness.advance(60_000);
  const [first, second] = await waitsOf(harness, id);
  expect(first![0]).toEqual({ kind: "delay", ms: 10_000 });
  expect(second![0]).toEqual({ kind: "delay", ms: 20_000 });
});

test("a job that was submitted during a pause", async () => {
  const harness = await open({ waits: true, respond: (call) => call.answer() });
  await harness.advance(20_000);
  await harness.context.scheduler.pause({ model: "llama" });
  const id = await harness.submit("a");
  await harness.advance(30_000);
  await harness.context.scheduler.resume({ model: "llama" });
  await harness.advance(10_000);
  const [parts] = await waitsOf(harness, id);
  expect(parts).toEqual([{ kind: "paused", subject: "the model llama", ms: expect.any(Number) }]);
});

test("a wait for a free slot, and one during a pause", async () => {
  const harness = await open({ waits: true, file: { models: oneModel(), worker: { concurrency: 1 } } });
  await harness.submit("first");
  const second = await harness.submit("second");
  await harness.advance(30_000);
  harness.provider.calls[0]!.answer();
  await harness.quiet();
  harness.provider.calls[1]!.answer();
  await harness.quiet();
  const [behind] = await waitsOf(harness, second);
  expect(behind).toEqual([{ kind: "concurrency", subject: "worker.concurrency", ms: expect.any(Number) }]);

  await harness.context.scheduler.pause({ model: "llama" });
  const third = await harness.submit("third");
  await harness.advance(30_000);
  await harness.context.scheduler.resume({ model: "llama" });
  await harness.advance(10_000);
  harness.provider.calls[2]!.answer();
  await harness.quiet();
  const [paused] = await waitsOf(harness, third);
  const part = paused!.find(({ kind }) => kind === "paused");
  expect(part).toMatchObject({ subject: "the model llama" });
  // A sample counts until the next one.
  expect(part!.ms).toBeGreaterThanOrEqual(28_000);
});

test("a job of a paused tenant waits for the pause, and those of others for what holds them up", async () => {
  const harness = await open({ waits: true, file: { models: onePerMinute }, respond: (call) => call.answer() });
  const { context } = harness;
  await harness.submit("first");
  await harness.quiet();
  await context.scheduler.pause({ tenant: "held" });
  const messages: CanonicalInput["messages"] = [{ role: "user", content: [{ type: "text", text: "held" }] }];
  const input: CanonicalInput = { environment: "UAT", messages, messagesField: "prompt" };
  const [held] = await submit(context, [input], { tenant: "held", admin: false });
  const other = await harness.submit("second");
  await harness.advance(100_000);
  await context.scheduler.resume({ tenant: "held" });
  await harness.advance(120_000);
  const [[waited] = []] = await waitsOf(harness, held!.id);
  expect(waited).toMatchObject({ kind: "paused", subject: "the tenant held" });
  expect(waited!.ms).toBeGreaterThan(90_000);
  const [parts] = await waitsOf(harness, other);
  expect(parts).toEqual([{ kind: "quota", subject: quota, ms: expect.any(Number) }]);
});

test("a wait before the worker started is unknown", async () => {
  const before = await open({ waits: true, file: { models: onePerMinute }, respond: (call) => call.answer() });
  await before.submit("first");
  await before.quiet();
  const id = await before.submit("second");
  await before.worker.stop();
  await before.abandon();
  before.time.stall(40_000);
  const harness = await open({
    waits: true,
    after: before,
    file: { models: onePerMinute },
    respond: (call) => call.answer(),
  });
  await harness.advance(120_000);
  const [parts] = await waitsOf(harness, id);
  expect(parts!.map(({ kind }) => kind)).toContain("unknown");
  expect(parts!.find(({ kind }) => kind === "unknown")!.ms).toBeGreaterThanOrEqual(34_000);
});
