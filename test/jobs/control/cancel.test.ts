// Cancelling: the first outcome wins, and the worker that runs the job is notified.
import { expect } from "vitest";
import { keylessCaller } from "../../../src/jobs/caller.ts";
import { cancel } from "../../../src/jobs/control/cancel.ts";
import { submit } from "../../../src/jobs/submit/submit.ts";
import { test } from "../../support/fixtures.ts";
import type { TestContext } from "../../support/jobs-context.ts";

let context: TestContext;
let jobId: string;
test.beforeEach(async ({ openContext }) => {
  context = await openContext();
  const messages = [{ role: "user" as const, content: [{ type: "text" as const, text: "Hello?" }] }];
  const [job] = await submit(context, [{ environment: "UAT", messages, messagesField: "prompt" }]);
  jobId = job!.id;
});

test("the job ends, leaves the queue, and its listeners hear of it", async () => {
  const heard: unknown[] = [];
  context.events.subscribe(jobId, (event) => heard.push(event));
  expect(await cancel(context, jobId, keylessCaller)).toMatchObject({
    state: "cancelled",
    outcome: { status: "cancelled" },
  });
  expect(heard).toMatchObject([{ type: "state", state: "cancelled" }]);
  expect(await context.scheduler.explain(jobId)).toEqual({ state: "absent" });
});

test("an answer that comes at the same moment and a cancellation: exactly one stands", async () => {
  const [answered, cancelled] = await Promise.allSettled([
    context.end(jobId, { status: "completed", text: "x" }),
    cancel(context, jobId, keylessCaller),
  ]);
  const { state } = (await context.store.get(jobId))!;
  expect(answered.status).toBe("fulfilled");
  if (state === "cancelled") expect(cancelled.status).toBe("fulfilled");
  else expect(cancelled).toMatchObject({ status: "rejected", reason: { code: "conflict" } });
});

test("an answer that was first stays", async () => {
  await context.end(jobId, { status: "completed", text: "x" });
  await expect(cancel(context, jobId, keylessCaller)).rejects.toMatchObject({ code: "conflict", details: { jobId } });
  expect((await context.store.get(jobId))?.outcome).toMatchObject({ status: "completed", text: "x" });
});

test("an answer that wins between reading and writing is a conflict, not a cancellation", async () => {
  const { finish } = context.store;
  context.store.finish = async (...args) => {
    context.store.finish = finish;
    await context.end(jobId, { status: "completed", text: "x" });
    return finish.apply(context.store, args);
  };
  await expect(cancel(context, jobId, keylessCaller)).rejects.toMatchObject({ code: "conflict" });
});

test("a queue that cannot be told does not undo the cancellation", async () => {
  context.scheduler.remove = () => Promise.reject(new Error("away"));
  expect((await cancel(context, jobId, keylessCaller)).state).toBe("cancelled");
});

test("a store that cannot write cancels nothing", async () => {
  context.store.finish = () => Promise.reject(new Error("disk"));
  await expect(cancel(context, jobId, keylessCaller)).rejects.toThrow("disk");
  expect(await context.scheduler.explain(jobId)).toMatchObject({ state: "waiting" });
});
