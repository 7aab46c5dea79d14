// Files that are deleted by themselves: when their owner said so, and inputs that no batch ever read.
import { afterAll, beforeAll, expect, test } from "vitest";
import { takeStep } from "../../../src/jobs/batches/batch-records.ts";
import { sweepExpiredFiles } from "../../../src/jobs/batches/file-expiry.ts";
import { keylessCaller } from "../../../src/jobs/caller.ts";
import { newFileId, requireFile, writeFile } from "../../../src/jobs/files/files.ts";
import { acceptedBatch, lineOf } from "../../batches/support.ts";
import { openTestContext, type TestContext } from "../../support/jobs-context.ts";

const hour = 3_600_000;
let now = Date.UTC(2030, 0, 1);
let context: TestContext;
beforeAll(async () => {
  context = await openTestContext({ limits: { unusedFileExpiresInS: 24 * 3600 } }, undefined, {
    now: () => now,
    wall: () => now,
  });
});
afterAll(() => context.close());

async function file(fields: { expiresInMs?: number; purpose?: "batch" | "batch_output" } = {}): Promise<string> {
  async function* bytes() {
    yield Buffer.from(lineOf("a"));
  }
  const described = { tenant: "default", filename: "f", purpose: "batch" as const, ...fields };
  return (await writeFile(context, { id: newFileId(), environment: "UAT" }, bytes(), () => described)).id;
}

async function isThere(id: string): Promise<boolean> {
  await sweepExpiredFiles(context);
  return requireFile(context, id, keylessCaller).then(
    () => true,
    () => false,
  );
}

test("B5: an upload that no batch reads expires; one that a batch has stays", async () => {
  const [unused, output] = [await file(), await file({ purpose: "batch_output" })];
  const { inputFileId: used } = await acceptedBatch(context, [lineOf("a")]);
  now += 24 * hour - 1;
  expect(await isThere(unused)).toBe(true);
  now += 2;
  expect(await isThere(unused)).toBe(false);
  expect(await isThere(output)).toBe(true);
  expect(await isThere(used)).toBe(true);
  now += 1000 * hour;
  expect(await isThere(used)).toBe(true);
});

test("B5: expires_after counts, but not while an unfinished batch reads the file", async () => {
  const [soon, output] = [
    await file({ expiresInMs: hour }),
    await file({ purpose: "batch_output", expiresInMs: hour }),
  ];
  now += hour - 1;
  expect([await isThere(soon), await isThere(output)]).toEqual([true, true]);
  now += 2;
  expect([await isThere(soon), await isThere(output)]).toEqual([false, false]);

  const batch = await acceptedBatch(context, [lineOf("a")], hour);
  now += 2 * hour;
  expect(await isThere(batch.inputFileId)).toBe(true);
  const counts = { completed: 0, failed: 0, expired: 0, cancelled: 0 };
  const usage = { input: 0, cached: 0, output: 0 };
  await takeStep(context, batch, "ended", { at: now, status: "cancelled", counts, usage, costNanoUsd: 0 });
  now += hour;
  expect(await isThere(batch.inputFileId)).toBe(false);
});
