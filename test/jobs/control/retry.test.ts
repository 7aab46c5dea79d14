// Retrying: a new job with the same request, the same one however often it is asked for.
import { expect } from "vitest";
import { lineJobId, newBatchId } from "../../../src/domain/batch.ts";
import { newJobId } from "../../../src/domain/ids.ts";
import { finalStates } from "../../../src/domain/job.ts";
import { keylessCaller } from "../../../src/jobs/caller.ts";
import { retry } from "../../../src/jobs/control/retry.ts";
import { Limits } from "../../../src/jobs/limits/limits.ts";
import { buildJob } from "../../../src/jobs/submit/build-job.ts";
import { accept, submit } from "../../../src/jobs/submit/submit.ts";
import type { CanonicalInput } from "../../../src/jobs/submit/submit-input.ts";
import { test } from "../../support/fixtures.ts";
import type { TestContext } from "../../support/jobs-context.ts";

let context: TestContext;
test.beforeEach(async ({ openContext }) => {
  context = await openContext();
});

async function endedJob(status: (typeof finalStates)[number], more: Partial<CanonicalInput> = {}): Promise<string> {
  const messages = [{ role: "user" as const, content: [{ type: "text" as const, text: "Hello?" }] }];
  const [job] = await submit(context, [{ environment: "PROD", messages, messagesField: "prompt", ...more }], {
    ...keylessCaller,
    tenant: "acme",
  });
  await context.end(job!.id, { status, ...(status === "failed" && { error: { code: "internal", message: "x" } }) });
  return job!.id;
}

test.each(finalStates.filter((s) => s !== "completed"))("a job that is %s can be retried", async (status) => {
  const jobId = await endedJob(status);
  const before = await context.store.get(jobId);
  const again = await retry(context, jobId, keylessCaller);
  expect(again.state).toBe("queued");
  expect(again.job).toEqual({ ...before!.job, id: again.job.id, retryOf: jobId, submittedAt: again.job.submittedAt });
  expect(await context.scheduler.explain(again.job.id)).toMatchObject({ state: "waiting" });
  expect(await context.store.get(jobId)).toEqual(before);
});

test("the new id is a UUIDv7 of the outcome's time", async () => {
  const jobId = await endedJob("failed");
  const { at } = (await context.store.get(jobId))!.outcome!;
  const { id } = (await retry(context, jobId, keylessCaller)).job;
  expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(Number.parseInt(id.replaceAll("-", "").slice(0, 12), 16)).toBe(at);
  expect(id).not.toBe((await retry(context, await endedJob("failed"), keylessCaller)).job.id);
});

test("asking again, at once or when the new job has ended, gives the same job", async () => {
  const jobId = await endedJob("failed");
  const answers = await Promise.all([
    retry(context, jobId, keylessCaller),
    retry(context, jobId, keylessCaller),
    retry(context, jobId, keylessCaller),
  ]);
  const id = answers[0]!.job.id;
  expect(answers.map((a) => a.job.id)).toEqual([id, id, id]);
  await context.end(id, { status: "failed", error: { code: "internal", message: "x" } });
  expect(await retry(context, jobId, keylessCaller)).toMatchObject({ state: "failed", job: { id } });
  expect(await context.scheduler.explain(id)).toEqual({ state: "absent" });
  const third = await retry(context, id, keylessCaller);
  expect(third.job).toMatchObject({ retryOf: id });
  expect(third.job.id).not.toBe(id);
});

test("what was retried once can be asked for again, whatever the configuration allows by then", async () => {
  const jobId = await endedJob("failed");
  const { job } = await retry(context, jobId, keylessCaller);
  context.settings.models["llama3-3-70b"]!.deployments[0]!.quotas[1]!.limit = 1;
  expect((await retry(context, jobId, keylessCaller)).job).toEqual(job);
});

test("a job that is on record already is not queued a second time", async () => {
  const { job } = (await context.store.get(await endedJob("failed")))!;
  await accept(context, [job]);
  expect(await context.scheduler.explain(job.id)).toEqual({ state: "absent" });
});

test("a deadline starts anew and not_before is over", async () => {
  const jobId = await endedJob("expired", { expiresInMs: 60_000, notBefore: { at: 1 } });
  const { job } = await retry(context, jobId, keylessCaller);
  expect(job.expiresAt! - job.submittedAt).toBe(60_000);
  expect(job.notBefore).toBeUndefined();
});

test("jobs that wait, run or have completed cannot be retried", async () => {
  await expect(retry(context, await endedJob("completed"), keylessCaller)).rejects.toMatchObject({ code: "conflict" });
  const messages = [{ role: "user" as const, content: [{ type: "text" as const, text: "Hello?" }] }];
  const [job] = await submit(context, [{ environment: "UAT", messages, messagesField: "prompt" }]);
  await expect(retry(context, job!.id, keylessCaller)).rejects.toMatchObject({ code: "conflict" });
  await context.begin(job!.id);
  await expect(retry(context, job!.id, keylessCaller)).rejects.toMatchObject({ code: "conflict" });
});

test("what the configuration no longer allows is refused like a submit", async () => {
  const jobId = await endedJob("failed");
  context.settings.models["llama3-3-70b"]!.deployments[0]!.quotas[1]!.limit = 100;
  await expect(retry(context, jobId, keylessCaller)).rejects.toMatchObject({ code: "exceeds_quota" });
  delete context.settings.models["llama3-3-70b"];
  await expect(retry(context, jobId, keylessCaller)).rejects.toMatchObject({ code: "unknown_model" });
});

test("the retry of a batch's line is held to the limits of its key", async () => {
  const keyId = newJobId().replaceAll("-", "");
  const limits = new Limits({ ...context, keys: { limitsOf: () => ({ maxWaiting: 1 }), limited: [keyId] } });
  const limited = { ...context, limits };
  const caller = { ...keylessCaller, keyId };
  const messages = [{ role: "user" as const, content: [{ type: "text" as const, text: "Hello?" }] }];
  const input = { environment: "PROD", messages, messagesField: "messages" as const };
  const batchId = newBatchId();
  const lines = await Promise.all(
    [1, 2].map((n) => buildJob(limited, input, caller, { id: lineJobId(batchId, n), batchId, customId: `line ${n}` })),
  );
  await accept(limited, lines);
  for (const { id } of lines) {
    await context.end(id, { status: "failed", error: { code: "internal", message: "x" } });
    await limits.ended("PROD", id);
  }
  const again = await retry(limited, lines[0]!.id, caller);
  const before = await context.countJobs();
  await expect(retry(limited, lines[1]!.id, caller)).rejects.toMatchObject({ code: "limit_exceeded" });
  expect(await context.countJobs()).toBe(before);
  expect((await retry(limited, lines[0]!.id, caller)).job).toEqual(again.job);
});
