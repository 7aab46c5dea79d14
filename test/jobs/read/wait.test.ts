// Waiting for a job to end: nothing is missed between reading and listening, and nothing spins.
import { expect, type MockInstance, vi } from "vitest";
import { keylessCaller } from "../../../src/jobs/caller.ts";
import { waitForEnd } from "../../../src/jobs/read/wait.ts";
import { submit } from "../../../src/jobs/submit/submit.ts";
import { test } from "../../support/fixtures.ts";
import type { TestContext } from "../../support/jobs-context.ts";

let context: TestContext;
let jobId: string;
/** Long enough that a test which depends on it runs into its time limit. */
const never = 3_600_000;
const neverAborted = new AbortController().signal;

test.beforeEach(async ({ openContext }) => {
  context = await openContext();
  const messages = [{ role: "user" as const, content: [{ type: "text" as const, text: "Hello?" }] }];
  const [job] = await submit(context, [{ environment: "UAT", messages, messagesField: "prompt" }]);
  jobId = job!.id;
});

/** Until the record has been read, and what was read has been looked at. */
async function sleeping(get: MockInstance): Promise<void> {
  await vi.waitFor(() => expect(get).toHaveBeenCalled());
  await get.mock.results.at(-1)!.value;
  await new Promise(setImmediate);
}

test("an event wakes it, without reading the record in between", async () => {
  const get = vi.spyOn(context.store, "get");
  const waiting = waitForEnd(context, jobId, keylessCaller, { waitMs: never, signal: neverAborted, rereadMs: never });
  await vi.waitFor(() => expect(get).toHaveBeenCalled());
  await context.end(jobId, { status: "completed", text: "x" });
  expect((await waiting).outcome?.text).toBe("x");
});

test("a job that ends between listening and reading is not missed", async () => {
  const { subscribe } = context.events;
  context.events.subscribe = () => {
    // Ended before the subscription: the event is lost.
    context.events.subscribe = subscribe;
    return () => {};
  };
  const { get } = context.store;
  context.store.get = async (id) => {
    context.store.get = get;
    await context.end(jobId, { status: "completed", text: "x" });
    return get.call(context.store, id);
  };
  const record = await waitForEnd(context, jobId, keylessCaller, {
    waitMs: never,
    signal: neverAborted,
    rereadMs: never,
  });
  expect(record.state).toBe("completed");
});

test("a job that ends while the record is being read is not missed", async () => {
  const { get } = context.store;
  context.store.get = async (id) => {
    context.store.get = get;
    const before = await get.call(context.store, id);
    await context.end(jobId, { status: "completed", text: "x" });
    return before;
  };
  const record = await waitForEnd(context, jobId, keylessCaller, {
    waitMs: never,
    signal: neverAborted,
    rereadMs: never,
  });
  expect(record.state).toBe("completed");
});

test("an event that was lost is made up for by reading again", async () => {
  context.events.publish = () => {};
  const get = vi.spyOn(context.store, "get");
  const waiting = waitForEnd(context, jobId, keylessCaller, { waitMs: never, signal: neverAborted, rereadMs: 5 });
  await vi.waitFor(() => expect(get).toHaveBeenCalled());
  await context.end(jobId, { status: "completed", text: "x" });
  expect((await waiting).state).toBe("completed");
});

test("tokens and states that are not final do not wake it", async () => {
  const get = vi.spyOn(context.store, "get");
  const gone = new AbortController();
  const waiting = waitForEnd(context, jobId, keylessCaller, { waitMs: never, signal: gone.signal, rereadMs: never });
  await sleeping(get);
  context.events.publish({ type: "tokens", jobId, attempt: 1, index: 0, text: "x" });
  context.events.publish({ type: "state", jobId, environment: "UAT", state: "in_progress", at: 1 });
  gone.abort();
  expect((await waiting).state).toBe("queued");
  expect(get).toHaveBeenCalledTimes(2);
});

test("an event whose outcome is not on record does not make it spin", async () => {
  const get = vi.spyOn(context.store, "get");
  const gone = new AbortController();
  const waiting = waitForEnd(context, jobId, keylessCaller, { waitMs: never, signal: gone.signal, rereadMs: never });
  await sleeping(get);
  context.events.publish({ type: "state", jobId, environment: "UAT", state: "completed", at: 1 });
  await vi.waitFor(() => expect(get).toHaveBeenCalledTimes(2));
  await sleeping(get);
  gone.abort();
  await waiting;
  expect(get).toHaveBeenCalledTimes(3);
});
