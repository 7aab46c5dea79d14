// Synchronous calls whose process died: what a start makes of them, and what workers do that go on without it.
import { afterEach, describe, expect, test } from "vitest";
import type { WaitingCaller } from "../../../src/domain/job.ts";
import { awaitRetry, takeAwaited } from "../../../src/jobs/callers/caller-records.ts";
import { heartbeat } from "../../../src/jobs/callers/presence.ts";
import { WaitingCallers } from "../../../src/jobs/callers/waiting-callers.ts";
import { Orphans } from "../../../src/worker/recovery/orphans.ts";
import { type Harness, oneModel, openHarness } from "../support/harness.ts";

let h: Harness;
afterEach(() => h.close());

async function start(after?: Harness): Promise<void> {
  await after?.abandon();
  h = await openHarness({ ...(after && { after }), file: { models: oneModel(), worker: { concurrency: 1 } } });
  h.worker.start();
  await h.quiet();
}

const prompts = () => h.provider.calls.map((call) => call.prompt);
const held = (returnsBy?: WaitingCaller["returnsBy"]) => ({
  priority: "interactive" as const,
  waitingCaller: { processId: "p1", ...(returnsBy && { returnsBy }) },
});

test("A3: after a kill synchronous calls are not called for callers that are gone", async () => {
  await start();
  const running = await h.submit("running", held());
  await h.quiet();
  const gone = await h.submit("gone", held());
  const secret = await h.submit("secret", { ...held("key"), ephemeral: true });
  const repeated = await h.submit("repeated", held("retry"));
  const kept = await h.submit("kept");
  expect(prompts()).toEqual(["running"]);

  await start(h);
  expect(prompts()).toEqual(["kept"]);
  await h.orphans.round();
  expect(await h.record(gone)).toMatchObject({
    state: "cancelled",
    outcome: { error: { code: "caller_disconnected", message: "The caller disconnected, so no call was made." } },
  });
  // Its first call may have been billed; there is none after it.
  expect(await h.record(running)).toMatchObject({
    state: "cancelled",
    attempts: [{ n: 1 }],
    outcome: {
      error: {
        code: "caller_disconnected",
        message:
          "The caller disconnected, so the job was not called again. Attempt 1 ended without an answer and may have been billed.",
      },
    },
  });
  expect((await h.record(secret)).state).toBe("queued");

  await h.advance(59_000);
  await h.orphans.round();
  expect((await h.record(repeated)).state).toBe("queued");
  await h.advance(2_000);
  await h.orphans.round();
  expect((await h.record(repeated)).state).toBe("cancelled");
  expect(await h.record(secret)).toMatchObject({ state: "cancelled", job: { request: { messages: [] } } });
  h.provider.calls[0]!.answer();
  await h.advance(3_600_000);
  expect(prompts()).toEqual(["kept"]);
  expect((await h.record(kept)).state).toBe("completed");
});

test("A3: a caller that comes back within the grace period gets its answer, at its old place", async () => {
  await start();
  await h.submit("running");
  await h.quiet();
  const jobId = await h.submit("held", held("key"));
  await h.submit("later", { priority: "interactive" });

  await start(h);
  await h.advance(30_000);
  await h.orphans.round();
  const callers = new WaitingCallers(h.context, "p2");
  await callers.connect((await h.record(jobId)).job, { returned: true, keep: false });
  await h.advance(120_000);
  await h.orphans.round();
  for (const call of h.provider.calls) call.answer();
  await h.quiet();
  for (const call of h.provider.calls) call.answer();
  await h.quiet();
  expect((await h.record(jobId)).state).toBe("completed");
  expect(prompts().filter((prompt) => prompt === "held")).toHaveLength(1);
});

test("A3: a repeated request without a key finds its job after a kill", async () => {
  await start();
  await h.submit("running");
  await h.quiet();
  const jobId = await h.submit("held", held("retry"));
  await start(h);
  await h.orphans.round();
  const { job } = await h.record(jobId);
  const other = { ...job, request: { ...job.request, parameters: { maxTokens: 7 } } };
  expect(await takeAwaited(h.context, other)).toBeUndefined();
  await awaitRetry(h.context, job);
  expect((await takeAwaited(h.context, { ...job, id: "new" }))?.job.id).toBe(jobId);
  expect(await takeAwaited(h.context, { ...job, id: "new" })).toBeUndefined();
});

describe("where other processes live", () => {
  /** Workers that go on, as many rounds as it takes to find a process dead. */
  async function shared(): Promise<{ orphans: Orphans; rounds: (count: number) => Promise<void> }> {
    await start();
    h.context.settings.distributed = { mongoUrl: "", redisUrl: "" };
    const orphans = new Orphans(h.context);
    return {
      orphans,
      async rounds(count) {
        for (let i = 0; i < count; i++) await orphans.round();
      },
    };
  }

  test("A3: a process that falls silent leaves its synchronous calls to the workers", async () => {
    const { rounds } = await shared();
    const [beat, other] = [heartbeat(h.context, "p1"), heartbeat(h.context, "p2")];
    await Promise.all([beat(), other()]);
    await h.submit("running");
    await h.quiet();
    const [gone, keyed] = [await h.submit("gone", held()), await h.submit("keyed", held("key"))];
    const back = await h.submit("back", held("key"));
    for (let i = 0; i < 7; i++) {
      await Promise.all([beat(), other()]);
      await rounds(1);
    }
    expect((await h.record(gone)).state).toBe("queued");

    for (let i = 0; i < 6; i++) {
      await other();
      await rounds(1);
    }
    expect((await h.record(gone)).state).toBe("cancelled");
    expect((await h.record(keyed)).state).toBe("queued");
    const callers = new WaitingCallers(h.context, "p2");
    await callers.connect((await h.record(back)).job, { returned: true, keep: false });
    h.provider.calls[0]!.answer();
    await h.quiet();
    expect(prompts()).toEqual(["running", "back"]);
    await h.advance(61_000);
    await rounds(1);
    expect((await h.record(keyed)).state).toBe("cancelled");
    h.provider.calls[1]!.answer();
    await h.quiet();
    expect((await h.record(back)).state).toBe("completed");
    await rounds(1);
    const { items } = await h.context.store.records.list(
      { collection: "controls" },
      { from: "process/", to: "process/~", limit: 10 },
    );
    expect(items.map(({ id }) => id)).toEqual(["process/p2"]);
  });

  test("A3: a process that was only frozen has its calls run", async () => {
    const { rounds } = await shared();
    const beat = heartbeat(h.context, "p1");
    await beat();
    await h.submit("running");
    await h.quiet();
    const jobId = await h.submit("held", held("key"));
    await rounds(7);
    h.provider.calls[0]!.answer();
    await h.quiet();
    expect(prompts()).toEqual(["running"]);
    await beat();
    await rounds(1);
    await h.quiet();
    expect(prompts()).toEqual(["running", "held"]);
    h.provider.calls[1]!.answer();
    await h.quiet();
    expect((await h.record(jobId)).state).toBe("completed");
  });

  test("A3: a queue that is rebuilt starts no synchronous call before its process has shown that it lives", async () => {
    const { orphans, rounds } = await shared();
    const beat = heartbeat(h.context, "p1");
    await beat();
    const heads = [{ ...(await h.record(await h.submit("held", held("key")))).job }];
    expect((await orphans.delays(heads)).size).toBe(1);
    await rounds(1);
    await beat();
    await rounds(1);
    expect((await orphans.delays(heads)).size).toBe(0);
  });
});
