// A job with its queue position, when record and queue are read at different moments.
import { afterAll, beforeAll, expect, test } from "vitest";
import { viewOf } from "../../../src/jobs/read/view.ts";
import { submit } from "../../../src/jobs/submit/submit.ts";
import type { Explanation } from "../../../src/scheduler/scheduler.ts";
import { openTestContext, type TestContext } from "../../support/jobs-context.ts";

let context: TestContext;
beforeAll(async () => {
  context = await openTestContext();
  const waiting: Explanation = { state: "waiting", position: 1, waitingOn: { kind: "turn" } };
  context.scheduler.explain = async () => waiting;
});
afterAll(() => context.close());

async function recordInProgress() {
  const messages = [{ role: "user" as const, content: [{ type: "text" as const, text: "Hello?" }] }];
  const [job] = await submit(context, [{ environment: "UAT", messages, messagesField: "prompt" }]);
  await context.begin(job!.id);
  return (await context.store.get(job!.id))!;
}

test("in progress on record but waiting in the queue: its worker was lost", async () => {
  const record = await recordInProgress();
  expect(await viewOf(context, record)).toMatchObject({ state: "queued", queuePosition: { state: "waiting" } });
});

test("the record was read before the next attempt began: it is in progress", async () => {
  const record = await recordInProgress();
  await context.begin(record.job.id);
  const view = await viewOf(context, record);
  expect(view).toMatchObject({ state: "in_progress", attempts: [{ n: 1 }, { n: 2 }] });
  expect(view.queuePosition).toBeUndefined();
});

test("the record was read before the attempt ended: it says how", async () => {
  const record = await recordInProgress();
  const { id, environment } = record.job;
  await context.store.endAttempt(environment, id, 1, { result: "throttled", at: Date.now() });
  expect(await viewOf(context, record)).toMatchObject({
    state: "queued",
    attempts: [{ end: { result: "throttled" } }],
  });
});

test("the record was read before the job ended: it has ended", async () => {
  const record = await recordInProgress();
  await context.end(record.job.id, { status: "completed", text: "x" });
  expect(await viewOf(context, record)).toMatchObject({ state: "completed", outcome: { text: "x" } });
});
