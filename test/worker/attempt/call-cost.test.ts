// What attempts and jobs cost, from the usage that the provider reports to the record.
import { expect, test } from "vitest";
import { keylessCaller } from "../../../src/jobs/caller.ts";
import { cancel } from "../../../src/jobs/control/cancel.ts";
import { deployment, oneModel, runningWorkers } from "../support/harness.ts";

const open = runningWorkers();

const modelId = "us.meta.llama3-3-70b-instruct-v1:0";
const file = {
  models: oneModel(),
  catalogue: {
    [modelId]: { prices: { input: 1, output: 10, cacheRead: 0.1, cacheWrite: 2, flexFactor: 0.5 } },
  },
};

test("an answer is priced by its tokens, those from and to the cache included", async () => {
  const usage = { input: 100, output: 10, cacheRead: 50, cacheWrite: 20 };
  const harness = await open({ file, respond: (call) => call.answer({ usage }) });
  const id = await harness.submit("a");
  await harness.quiet();
  const { attempts, outcome } = await harness.record(id);
  expect(attempts[0]!.end!.costNanoUsd).toBe(100_000 + 100_000 + 5_000 + 40_000);
  expect(outcome!.costNanoUsd).toBe(245_000);
});

test("a job costs what all its attempts cost, whether they failed or not", async () => {
  const usage = { input: 100, output: 10 };
  const harness = await open({
    file,
    respond: (call) =>
      harness.provider.calls.length < 2
        ? call.fail({ kind: "transient", code: "malformed_output", maybeBilled: true, usage })
        : call.answer({ usage }),
  });
  const id = await harness.submit("a");
  await harness.advance(2_000);
  const { attempts, outcome } = await harness.record(id);
  expect(attempts.map(({ end }) => end!.costNanoUsd)).toEqual([200_000, 200_000]);
  expect(outcome).toMatchObject({ status: "completed", costNanoUsd: 400_000 });
});

test("the tier that was really used decides; one that is not named is the one that was asked for", async () => {
  const usage = { input: 100, output: 10 };
  const harness = await open({
    file,
    respond: (call) => call.answer({ usage, ...(call.prompt === "told" && { serviceTier: "default" }) }),
  });
  const [told, untold] = [
    await harness.submit("told", { serviceTier: "flex" }),
    await harness.submit("untold", { serviceTier: "flex" }),
  ];
  await harness.quiet();
  expect((await harness.record(told)).attempts[0]!.end).toMatchObject({ serviceTier: "default", costNanoUsd: 200_000 });
  expect((await harness.record(untold)).outcome).toMatchObject({ costNanoUsd: 100_000 });
});

test("a refusal has no cost, nor has what is called without a known price", async () => {
  const harness = await open({ file, respond: (call) => call.fail({ kind: "permanent" }) });
  const refused = await harness.submit("refused");
  await harness.quiet();
  const { attempts, outcome } = await harness.record(refused);
  expect(outcome).not.toHaveProperty("costNanoUsd");
  expect(attempts[0]!.end).not.toHaveProperty("costNanoUsd");
  const unpriced = await open({
    file: { models: { llama: { deployments: [{ region: "us-east-1", modelId: "unknown.model" }] } } },
  });
  unpriced.context.settings.models.llama!.deployments[0]!.id = deployment;
  expect(unpriced.context.settings.models.llama!.deployments[0]!.traits.prices).toBeUndefined();
});

test("a failure that was billed is priced, and the failed job keeps its cost", async () => {
  const usage = { input: 10, output: 0 };
  const harness = await open({
    file,
    respond: (call) =>
      call.fail({ kind: "permanent", code: "content_filtered", maybeBilled: true, usage, serviceTier: "flex" }),
  });
  const id = await harness.submit("a");
  await harness.quiet();
  const { attempts, outcome } = await harness.record(id);
  expect(attempts[0]!.end).toMatchObject({ serviceTier: "flex", costNanoUsd: 5_000 });
  expect(outcome).toMatchObject({ status: "failed", costNanoUsd: 5_000 });
});

test("a job that is cancelled or expires between two attempts has cost what the first one did", async () => {
  const usage = { input: 100, output: 10 };
  const harness = await open({ file, respond: (call) => call.fail({ kind: "transient", maybeBilled: true, usage }) });
  const cancelled = await harness.submit("a");
  const expired = await harness.submit("b", { expiresInMs: 100 });
  await harness.quiet();
  await cancel(harness.context, cancelled, keylessCaller);
  await harness.advance(20_000);
  expect((await harness.record(cancelled)).outcome).toMatchObject({ status: "cancelled", costNanoUsd: 200_000 });
  expect((await harness.record(expired)).outcome).toMatchObject({ status: "expired", costNanoUsd: 200_000 });
});
