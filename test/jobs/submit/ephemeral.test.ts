// Jobs that leave nothing behind: marked before they are stored, and erased by a sweep if no process did so before.

import { expect } from "vitest";
import type { Clock } from "../../../src/domain/clock.ts";
import { canonicalPart } from "../../../src/domain/request.ts";
import { keylessCaller } from "../../../src/jobs/caller.ts";
import { retry } from "../../../src/jobs/control/retry.ts";
import { sweepEphemeral } from "../../../src/jobs/submit/ephemeral.ts";
import { submit } from "../../../src/jobs/submit/submit.ts";
import { test } from "../../support/fixtures.ts";
import type { TestContext } from "../../support/jobs-context.ts";

let context: TestContext;
test.beforeEach(async ({ openContext }) => {
  context = await openContext();
});

const environments = ["UAT", "PROD"];

async function submitted(ephemeral: boolean, environment = "UAT") {
  const messages = [{ role: "user" as const, content: [{ type: "text" as const, text: "secret" }] }];
  const [job] = await submit(context, [{ environment, messages, messagesField: "prompt", ephemeral }]);
  return job!;
}

/** The sweep, so many milliseconds from now. */
function sweepIn(ms: number) {
  const clock: Clock = { ...context.clock, wall: () => Date.now() + ms };
  return sweepEphemeral({ ...context, clock }, environments);
}

const marks = async (environment: string) =>
  (await context.store.records.list({ collection: "ephemeral", environment }, { limit: 100 })).items.map((r) => r.id);
const textsOf = async (jobId: string) => {
  const { job, outcome } = (await context.store.get(jobId))!;
  return [canonicalPart(job.request).messages.length, outcome?.text];
};

test("the sweep erases what has ended a while ago, and then forgets it", async () => {
  const running = await submitted(true);
  const ended = await submitted(true, "PROD");
  const kept = await submitted(false);
  for (const { id } of [ended, kept]) await context.end(id, { status: "completed", text: "answer" });
  await sweepIn(0);
  expect(await textsOf(ended.id)).toEqual([1, "answer"]);
  await sweepIn(61_000);
  expect(await textsOf(ended.id)).toEqual([0, ""]);
  expect(await textsOf(kept.id)).toEqual([1, "answer"]);
  expect(await textsOf(running.id)).toEqual([1, undefined]);
  expect([await marks("UAT"), await marks("PROD")]).toEqual([[running.id], []]);
  await context.end(running.id, { status: "cancelled" });
  await sweepIn(61_000);
  expect(await textsOf(running.id)).toEqual([0, undefined]);
});

test("a mark whose job was never stored is kept for an hour", async () => {
  const { insertMany } = context.store;
  context.store.insertMany = () => Promise.reject(new Error("the process has died"));
  await expect(submitted(true)).rejects.toThrow();
  context.store.insertMany = insertMany;
  const before = await marks("UAT");
  await sweepIn(3_000_000);
  expect(await marks("UAT")).toEqual(before);
  await sweepIn(3_700_000);
  expect(await marks("UAT")).toHaveLength(before.length - 1);
});

test("what was erased cannot be retried", async () => {
  const { id } = await submitted(true);
  await context.end(id, { status: "failed", error: { code: "internal", message: "x" } });
  await context.store.eraseTexts("UAT", id);
  await expect(retry(context, id, keylessCaller)).rejects.toMatchObject({ code: "conflict" });
});
