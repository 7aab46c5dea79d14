// Calls whose usage no provider reports: each counts at an estimate, in the record, in the sums and against the limits of
// its key, however it was cut off.
import { describe, expect, test } from "vitest";
import { newJobId } from "../../../src/domain/ids.ts";
import type { JobRecord } from "../../../src/domain/job.ts";
import { estimateTokens } from "../../../src/domain/tokens.ts";
import { usageDay } from "../../../src/domain/usage.ts";
import { type Caller, keylessCaller } from "../../../src/jobs/caller.ts";
import { cancel } from "../../../src/jobs/control/cancel.ts";
import { Limits } from "../../../src/jobs/limits/limits.ts";
import { submit } from "../../../src/jobs/submit/submit.ts";
import { type Harness, oneModel, runningWorkers } from "../support/harness.ts";

const open = runningWorkers();
const prices = { input: 1, output: 10 };
const file = {
  models: oneModel(),
  catalogue: { "us.meta.llama3-3-70b-instruct-v1:0": { prices } },
  worker: { drainMs: 1_000 },
};
const priceOf = ({ input, output }: { input: number; output: number }) => input * 1_000 + output * 10_000;

async function sumsOf(h: Harness) {
  const day = usageDay(h.time.wall());
  return (await h.context.store.usage({ environment: "UAT", fromDay: day, toDay: day, limit: 10 })).items;
}

describe("A2: the attempt, its job and the sums say an estimate and mark it", () => {
  const reserved = 100;
  const ways: [string, output: number, cut: (h: Harness, jobId: string) => Promise<unknown> | unknown][] = [
    ["cancelled before anything was seen", reserved, (h, jobId) => cancel(h.context, jobId, keylessCaller)],
    [
      "cancelled after two pieces",
      estimateTokens("Hello") + estimateTokens(" there"),
      (h, jobId) => {
        for (const text of ["Hello", " there"]) h.provider.calls[0]!.stream(text);
        return cancel(h.context, jobId, keylessCaller);
      },
    ],
    ["cut off by its deadline", reserved, (h) => h.advance(60_000)],
    [
      "timed out",
      reserved,
      (h) => h.provider.calls[0]!.fail({ kind: "transient", code: "unknown_end", maybeBilled: true }),
    ],
    [
      "refused for what it generated",
      estimateTokens("Hello"),
      (h) => {
        h.provider.calls[0]!.stream("Hello");
        h.provider.calls[0]!.fail({ kind: "permanent", code: "malformed_output", maybeBilled: true });
      },
    ],
    ["failed inside the adapter", reserved, (h) => h.provider.calls[0]!.throw(new TypeError("broken"))],
    [
      "answered without usage",
      estimateTokens("Hello there, you"),
      (h) => h.provider.calls[0]!.answer({ text: "Hello there, you", usage: undefined }),
    ],
  ];
  test.each(ways)("%s", async (_, output, cut) => {
    const h = await open({ file: { ...file, worker: { ...file.worker, maxFailedTries: 1 } } });
    const jobId = await h.submit("hello", { expiresInMs: 60_000 });
    await h.quiet();
    await cut(h, jobId);
    await h.quiet();
    const { attempts, outcome } = await h.record(jobId);
    const { reserved, end } = attempts[0]!;
    const usage = { input: reserved.input, output: end!.usage!.output };
    const nanoUsd = priceOf(usage);
    expect(usage.output).toBe(output);
    expect(end).toMatchObject({ usage, estimated: true, costNanoUsd: nanoUsd });
    expect(await sumsOf(h)).toMatchObject([
      { attempts: 1, estimated: 1, ...usage, nanoUsd, estimatedInput: usage.input, estimatedNanoUsd: nanoUsd },
    ]);
    // A cancelled job has its outcome before its call has ended: that counts as reserved.
    const atEnd = outcome!.status === "cancelled" ? priceOf({ ...usage, output: reserved.output }) : nanoUsd;
    expect(outcome).toMatchObject({ costNanoUsd: atEnd, estimatedNanoUsd: atEnd });
  });

  test("lost with its process; then the answer of the second call is known", async () => {
    const before = await open({ file });
    const jobId = await before.submit("hello");
    await before.quiet();
    const [lost] = (await before.record(jobId)).attempts;
    const nanoUsd = priceOf(lost!.reserved);
    expect(await sumsOf(before)).toMatchObject([{ open: 1, estimated: 1, input: lost!.reserved.input, nanoUsd }]);
    await before.abandon();
    const h = await open({ file, after: before, respond: (call) => call.answer({ usage: { input: 7, output: 2 } }) });
    await h.quiet();
    expect((await h.record(jobId)).outcome).toMatchObject({ costNanoUsd: nanoUsd + 27_000, estimatedNanoUsd: nanoUsd });
    const sums = { jobs: 1, attempts: 2, open: 1, estimated: 1, input: lost!.reserved.input + 7 };
    expect(await sumsOf(h)).toMatchObject([{ ...sums, estimatedInput: lost!.reserved.input }]);
  });

  test("handed back at a stop; three stops are three failed tries", async () => {
    let h = await open({ file });
    const jobId = await h.submit("hello");
    for (let stops = 1; stops <= 3; stops++) {
      await h.quiet();
      expect(h.provider.calls).toHaveLength(1);
      const stopped = h.worker.stop();
      await h.advance(1_000);
      await stopped;
      await h.abandon();
      h = await open({ file, after: h });
    }
    expect((await h.record(jobId)).outcome).toMatchObject({ status: "failed", error: { code: "tries_exhausted" } });
    expect(await h.ends(jobId)).toEqual(["unknown", "unknown", "unknown"]);
    expect(h.provider.calls).toEqual([]);
  });
});

describe("A2: the limits of a key", () => {
  const keyId = newJobId().replaceAll("-", "");
  const caller: Caller = { tenant: "t", admin: false, keyId };

  async function limited(limits: { dailyTokens?: number; budgetUsd?: number; maxWaiting?: number }) {
    const h = await open({ file });
    const newLimits = () => new Limits({ ...h.context, keys: { limitsOf: () => limits, limited: [keyId] } });
    h.context.limits = newLimits();
    const messages = [{ role: "user" as const, content: [{ type: "text" as const, text: "hello" }] }];
    const send = async (input: { expiresInMs?: number } = {}) => {
      const job = { environment: "UAT", messages, messagesField: "prompt" as const, ...input };
      const [sent] = await submit(h.context, [job], caller).catch(() => []);
      await h.quiet();
      return sent;
    };
    /** What the key is told when it asks for too much. */
    const refusal = async () => {
      const job = { environment: "UAT", messages, messagesField: "prompt" as const };
      return submit(h.context, [job], caller).then(
        () => undefined,
        (error: Error) => error.message,
      );
    };
    const restart = () => {
      h.context.limits = newLimits();
    };
    return { h, send, refusal, restart };
  }

  const total = (records: JobRecord[]) =>
    records
      .flatMap(({ attempts }) => attempts)
      .reduce((sum, { end }) => sum + end!.usage!.input + end!.usage!.output, 0);

  test.each([
    ["cancelled", false],
    ["cancelled after the first token", true],
  ])("sixty calls that are %s stay within the tokens of a day and the budget", async (_, streams) => {
    for (const limits of [{ dailyTokens: 500 }, { budgetUsd: 0.002 }]) {
      const { h, send, restart } = await limited(limits);
      const records: JobRecord[] = [];
      for (let i = 0; i < 60; i++) {
        const job = await send();
        if (!job) continue;
        if (streams) h.provider.calls.at(-1)!.stream("Hello");
        await cancel(h.context, job.id, keylessCaller);
        await h.quiet();
        records.push(await h.record(job.id));
        if (i % 7 === 0) restart();
      }
      const tokens = total(records);
      if (limits.dailyTokens) expect(tokens).toBeLessThanOrEqual(limits.dailyTokens);
      else expect(records.reduce((sum, r) => sum + r.attempts[0]!.end!.costNanoUsd!, 0)).toBeLessThanOrEqual(2_000_000);
      // Some were taken, and not all.
      expect(records.length).toBeGreaterThan(0);
      expect(records.length).toBeLessThan(60);
    }
  });

  test("calls cut off by their deadlines count too, and the refusal marks what is estimated", async () => {
    const { h, send, refusal } = await limited({ dailyTokens: 400 });
    let taken = 0;
    for (let i = 0; i < 10; i++) {
      if (await send({ expiresInMs: 1_000 })) taken++;
      await h.advance(2_000);
    }
    expect(taken).toBe(3);
    expect(await refusal()).toMatch(/3\d\d are used \(3\d\d of that is an estimate\), 0 are reserved/);
  });

  test("an estimate gives way to real usage when the answer of a cancelled job comes after all", async () => {
    const { h, send, refusal, restart } = await limited({ dailyTokens: 150 });
    const job = (await send())!;
    h.provider.calls[0]!.deaf = true;
    await cancel(h.context, job.id, keylessCaller);
    await h.quiet();
    expect(await refusal()).toContain("of that is an estimate");
    restart();
    expect(await refusal()).toContain("of that is an estimate");
    h.provider.calls[0]!.answer({ usage: { input: 7, output: 2 } });
    await h.quiet();
    expect(await refusal()).toBeUndefined();
    expect((await h.record(job.id)).outcome?.status).toBe("cancelled");
  });

  test("what failed calls used counts while their job goes on", async () => {
    const { h, send, refusal, restart } = await limited({ dailyTokens: 300 });
    await send();
    h.provider.calls[0]!.fail({ kind: "transient", code: "unknown_end", maybeBilled: true });
    await h.quiet();
    // The lost call, the next call, and one more: too much.
    expect(await refusal()).toMatch(/0 are used, 2\d\d are reserved/);
    restart();
    expect(await refusal()).toMatch(/0 are used, 2\d\d are reserved/);
  });

  test("a crash between the end of a call and its settlement is made good", async () => {
    const { h, send, refusal } = await limited({ dailyTokens: 150, maxWaiting: 5 });
    const job = (await send())!;
    await h.context.store.finish("UAT", { jobId: job.id, status: "cancelled", at: h.time.wall() });
    await (h.context.limits as Limits).tidy();
    expect(await refusal()).toContain("of that is an estimate");
    const usage = { input: 7, output: 2 };
    await h.context.store.endAttempt("UAT", job.id, 1, { result: "unknown", at: h.time.wall(), usage });
    await (h.context.limits as Limits).tidy();
    expect(await refusal()).toBeUndefined();
  });
});
