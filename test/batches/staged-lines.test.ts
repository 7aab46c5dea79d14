// An earlier version staged the lines of a batch in a file of their own before they became jobs. A data folder that it left
// in the middle of that opens, and every line becomes a job once.
import { existsSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { BatchRequest } from "../../src/domain/batch.ts";
import { lineJob } from "../../src/jobs/batches/batch-lines.ts";
import { findBatch, takeStep } from "../../src/jobs/batches/batch-records.ts";
import { lineRange } from "../../src/jobs/batches/batch-results.ts";
import { createLineCounter } from "../../src/jobs/batches/line-counter.ts";
import { openPlain } from "../../src/store/sqlite/driver.ts";
import { newJobColumns, newJobRows } from "../../src/store/sqlite/rows.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { lineFormats } from "../../src/wire/openai/line-formats.ts";
import type { BatchContext } from "../../src/worker/batches/batch-context.ts";
import { driveBatch } from "../../src/worker/batches/drive-batch.ts";
import { openTestContext, type TestContext, testSettings } from "../support/jobs-context.ts";
import { acceptedBatch, endpoint, lineOf } from "./support.ts";

const lines = ["a", "b", "c"];

async function openContext(dataDir: string): Promise<TestContext> {
  const store = await openSqliteStore({ dataDir, environments: testSettings().environments });
  const context = await openTestContext({}, { store, close: () => store.close() });
  return { ...context, close: () => Promise.all([context.close(), store.close()]).then(() => {}) };
}

function jobOf(context: TestContext, request: BatchRequest, number: number) {
  const json = lineOf(lines[number - 1]!);
  const { custom_id: customId, body } = JSON.parse(json);
  const format = lineFormats(context.settings).of(endpoint)!;
  return lineJob(context, request, format, { number, customId, body, bodyKey: "body", json });
}

/** What the earlier version had in its file: a table of rows, and a journal while it was writing. */
async function stageAll(context: TestContext, request: BatchRequest, file: string): Promise<void> {
  const db = openPlain(file);
  db.exec(`CREATE TABLE stage_1 (n INTEGER PRIMARY KEY, ${newJobColumns.join(", ")}, request)`);
  for (const number of lines.keys()) {
    const { values, requests } = newJobRows([await jobOf(context, request, number + 1)]);
    const places = [...values, ...requests].map(() => "?").join(", ");
    db.prepare(`INSERT INTO stage_1 (${newJobColumns.join(", ")}, request) VALUES (${places})`).run(
      ...values,
      ...requests,
    );
  }
  db.close();
  writeFileSync(`${file}-journal`, "");
}

test.each<{ left: string; isChecked: boolean; jobs: number[] }>([
  { left: "while it checked the file", isChecked: false, jobs: [] },
  { left: "before the first line was a job", isChecked: true, jobs: [] },
  { left: "when the first line was a job", isChecked: true, jobs: [1] },
])("a folder that was left $left", async ({ isChecked, jobs }) => {
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-staged-"));
  onTestFinished(() => rm(dataDir, { recursive: true, force: true }));
  const staged = join(dataDir, "SSP-dev.staged");
  const before = await openContext(dataDir);
  const request = await acceptedBatch(
    before,
    lines.map((id) => `${lineOf(id)}\n`),
  );
  if (isChecked) await takeStep(before, request, "validated", { at: 1, lines: 3, lastLine: 3, errors: [] });
  await before.store.insertMany(await Promise.all(jobs.map((number) => jobOf(before, request, number))));
  await stageAll(before, request, staged);
  await before.close();

  const context = await openContext(dataDir);
  onTestFinished(() => context.close());
  expect([existsSync(staged), existsSync(`${staged}-journal`)]).toEqual([false, false]);
  const own = { ...context, formats: lineFormats(context.settings) } as unknown as BatchContext;
  await driveBatch(own, createLineCounter(own), "UAT", request.id, async () => {});
  expect((await findBatch(context, "UAT", request.id))!.steps.submitted).toMatchObject({ refused: 0 });
  expect((await context.store.countLines(lineRange(request))).queued).toBe(3);
  const found = await context.store.lines({ ...lineRange(request), limit: 10 });
  expect(found.map(({ job }) => job.customId)).toEqual(lines);
});
