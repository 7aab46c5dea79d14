// What rounds of retention erase, remove and leave alone. The test plays the clock and the worker.

import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import type { FileSettings } from "../../../src/config/config-schema.ts";
import { resolve } from "../../../src/config/resolve.ts";
import { lineJobId } from "../../../src/domain/batch.ts";
import { newJobId } from "../../../src/domain/ids.ts";
import type { Job, JobRecord } from "../../../src/domain/job.ts";
import { canonicalPart } from "../../../src/domain/request.ts";
import { usageDay } from "../../../src/domain/usage.ts";
import { findBatch, takeStep } from "../../../src/jobs/batches/batch-records.ts";
import { continueDeletion, openDeletions } from "../../../src/jobs/batches/delete-batch.ts";
import { fileIn, newFileId, writeFile as writeStoredFile } from "../../../src/jobs/files/files.ts";
import { Limits } from "../../../src/jobs/limits/limits.ts";
import { readRetention } from "../../../src/jobs/retention/retention-report.ts";
import type { RetentionContext } from "../../../src/jobs/retention/retention-steps.ts";
import { accept } from "../../../src/jobs/submit/submit.ts";
import { deletedAmong } from "../../../src/jobs/tombstones.ts";
import { beginTry, endTry } from "../../../src/jobs/webhooks/webhook-records.ts";
import type { Metrics } from "../../../src/telemetry/metrics.ts";
import { archivedJob } from "../../../src/wire/archived-job.ts";
import { ArchiveFolder } from "../../../src/worker/retention/archive-folder.ts";
import { RetentionRounds } from "../../../src/worker/retention/retention-round.ts";
import { startRetention } from "../../../src/worker/retention/start-retention.ts";
import { systemTimers } from "../../../src/worker/timers.ts";
import { acceptedBatch, lineOf } from "../../batches/support.ts";
import { openTestContext, type TestContext, templateJob } from "../../support/jobs-context.ts";

const hour = 3_600_000;
const day = 24 * hour;
let now = Date.UTC(2030, 0, 1);
let context: TestContext;
let template: Job;
beforeAll(async () => {
  context = await openTestContext({}, undefined, { now: () => now, wall: () => now });
  template = await templateJob(context);
});
afterAll(() => context.close());
// Each test has time of its own.
beforeEach(() => {
  now += 10 * 365 * day;
});

const tenant = () => `tenant-${newJobId()}`;

/** Submits a job and ends it with an answer, or as told. */
async function endedJob(fields: Partial<Job> = {}, from: Pick<TestContext, "limits"> = context): Promise<Job> {
  const job: Job = { ...template, id: newJobId(), submittedAt: now, tenant: "t", ...fields };
  await accept({ ...context, ...from }, [job]);
  await context.begin(job.id);
  now += 1;
  const usage = { input: 3, output: 4 };
  await context.end(
    job.id,
    { status: "completed", text: "the answer", usage, costNanoUsd: 7 },
    { result: "completed", usage, costNanoUsd: 7 },
  );
  return job;
}

function retentionOf(retention: NonNullable<FileSettings["retention"]>) {
  const { settings, problems } = resolve({ retention });
  expect(problems).toEqual([]);
  return settings.retention;
}

interface Round {
  run(): Promise<Record<string, number>>;
}

function rounds(
  retention: NonNullable<FileSettings["retention"]>,
  more: Partial<Pick<RetentionContext, "archive" | "limits" | "proceed">> = {},
): Round {
  let counted: Record<string, number> = {};
  const of = new RetentionRounds({
    ...context,
    settings: { ...context.settings, retention: retentionOf(retention) },
    proceed: async () => {},
    removed(_environment, kind, count) {
      if (count > 0) counted[kind] = (counted[kind] ?? 0) + count;
    },
    ...more,
  });
  return {
    async run() {
      counted = {};
      await of.run("UAT");
      return counted;
    },
  };
}

const stateOf = async ({ id }: { id: string }) => {
  const record = await context.store.get(id);
  return record === undefined ? "removed" : (record.job.erased ?? "kept");
};

test("texts go at their age and records at theirs, tenant by tenant; what was used stays", async () => {
  const [brief, long] = [tenant(), tenant()];
  const old = { tenants: { [brief]: { texts: "1d", jobs: "3d" }, [long]: { texts: "keep", jobs: "keep" } } };
  const round = rounds({ texts: "2d", jobs: "5d", ...old });
  await round.run();
  const jobs = [await endedJob({ tenant: brief }), await endedJob(), await endedJob({ tenant: long })];
  const elsewhere = await endedJob({ environment: "PROD" });
  const waiting: Job = { ...template, id: newJobId(), submittedAt: now };
  await accept(context, [waiting]);
  const usage = () =>
    context.store.usage({ environment: "UAT", fromDay: usageDay(now) - 9, toDay: usageDay(now), limit: 100 });
  const before = (await usage()).items;
  const states = async () => Promise.all(jobs.map(stateOf));

  expect(await round.run()).toEqual({});
  expect(await states()).toEqual(["kept", "kept", "kept"]);
  now += day;
  expect(await round.run()).toEqual({ texts: 1 });
  expect(await states()).toEqual(["texts", "kept", "kept"]);
  now += day;
  expect(await round.run()).toEqual({ texts: 1 });
  now += day;
  expect(await round.run()).toEqual({ jobs: 1 });
  expect(await states()).toEqual(["removed", "texts", "kept"]);
  now += 2 * day;
  expect(await round.run()).toEqual({ jobs: 1 });
  expect(await states()).toEqual(["removed", "removed", "kept"]);
  expect(await Promise.all([elsewhere, waiting].map(stateOf))).toEqual(["kept", "kept"]);
  expect((await usage()).items).toEqual(before);
  // Old jobs leave no tombstone. A walk through everything finds nothing to do twice.
  expect(
    await deletedAmong(
      context.store,
      jobs.map(({ id }) => id),
    ),
  ).toEqual(new Set());
  expect(await rounds({ texts: "2d", jobs: "5d", ...old }).run()).toEqual({});
});

test("a job stays while its webhook is to be delivered, and goes afterwards", async () => {
  const round = rounds({ texts: "1h" });
  await round.run();
  const job = await endedJob({ webhookUrl: "https://example.com/" });
  const later = await endedJob();
  const hint = { id: `msg_${job.id}`, environment: "UAT", url: "https://example.com/" };
  now += 2 * hour;
  expect(await round.run()).toEqual({ texts: 1 });
  expect([await stateOf(job), await stateOf(later)]).toEqual(["kept", "texts"]);
  await beginTry(context, hint, { n: 1, round: 0, at: now, worker: "w" });
  await endTry(context, hint, 1, { at: now, delivered: true, durationMs: 1, status: 200 });
  expect(await round.run()).toEqual({ texts: 1 });
  expect(await stateOf(job)).toBe("texts");
});

test("a job stays until it counts for the limits of its key, so a budget is the same with and without it", async () => {
  const keyId = newJobId().replaceAll("-", "");
  const keys = { limitsOf: () => ({ dailyTokens: 1000, maxWaiting: 5 }), limited: [keyId] };
  const limits = new Limits({ ...context, keys });
  const total = { jobs: 1, tokens: 990, nanoUsd: 0 };
  // The process dies between the end of the job and its settlement.
  const unsettled = {
    limits: {
      ...limits,
      reserve: limits.reserve.bind(limits),
      commit: limits.commit.bind(limits),
      ended: async () => {},
    },
  };
  const job = await endedJob({ keyId }, unsettled as unknown as Pick<TestContext, "limits">);
  now += 2 * hour;
  const restarted = new Limits({ ...context, keys });
  expect(await rounds({ jobs: "1h" }, { limits: restarted }).run()).toMatchObject({ jobs: expect.any(Number) });
  expect(await stateOf(job)).toBe("removed");
  for (const each of [restarted, new Limits({ ...context, keys })]) {
    await expect(each.check({ keyId, total: { ...total, tokens: 994 } })).rejects.toThrow(/7 are used, 0 are reserved/);
    await each.check({ keyId, total: { ...total, tokens: 993 } });
  }
});

test("young jobs leave a tombstone, so that an Idempotency-Key or a retry does not revive them", async () => {
  const [young, retried] = [await endedJob(), await endedJob({ retryOf: newJobId(), submittedAt: now - 9 * day })];
  now += 2 * hour;
  await rounds({ jobs: "1h" }).run();
  expect(await deletedAmong(context.store, [young.id, retried.id])).toEqual(new Set([young.id, retried.id]));
});

test("lines go with their batch, once it has ended; its files too", async () => {
  const batch = await acceptedBatch(context, [lineOf("a"), lineOf("b")]);
  const lines = [1, 2].map((n) => lineJobId(batch.id, n));
  const fields = { batchId: batch.id, customId: "a", submittedAt: batch.createdAt, tenant: "default" };
  for (const id of lines) await endedJob({ ...fields, id });
  const all = rounds({ texts: "1d", jobs: "3d", files: "1d" });
  const states = () => Promise.all(lines.map((id) => stateOf({ id })));
  now += 5 * day;
  await all.run();
  expect(await states()).toEqual(["kept", "kept"]);
  expect(await fileIn(context, "UAT", batch.inputFileId)).toBeDefined();

  await takeStep(context, batch, "validated", { at: now, lines: 2, lastLine: 2, errors: [] });
  const counts = { completed: 2, failed: 0, expired: 0, cancelled: 0 };
  const usage = { input: 0, cached: 0, output: 0 };
  await takeStep(context, batch, "ended", { at: now, status: "completed", counts, usage, costNanoUsd: 0 });
  now += 2 * day;
  expect(await all.run()).toEqual({ texts: 2, files: 1 });
  expect(await states()).toEqual(["texts", "texts"]);
  expect(await fileIn(context, "UAT", batch.inputFileId)).toBeUndefined();
  now += 2 * day;
  expect(await all.run()).toEqual({ jobs: 2 });
  expect(await findBatch(context, "UAT", batch.id)).toBeUndefined();
  // The batch driver removes the lines.
  expect(await openDeletions(context, "UAT")).toEqual([batch.id]);
  expect(await continueDeletion(context, "UAT", batch.id, async () => true)).toBe(true);
  expect(await states()).toEqual(["removed", "removed"]);
  expect(await all.run()).toEqual({});
});

test("old files of a tenant go, and others stay", async () => {
  const [brief, long] = [tenant(), tenant()];
  async function* bytes() {
    yield Buffer.from("x");
  }
  const write = async (of: string) => {
    const described = { tenant: of, filename: "f", purpose: "batch_output" as const };
    return (await writeStoredFile(context, { id: newFileId(), environment: "UAT" }, bytes(), () => described)).id;
  };
  const files = [await write(brief), await write(long)];
  const round = rounds({ tenants: { [brief]: { files: "1d" } } });
  expect(await round.run()).toEqual({});
  now += day + 1;
  expect(await round.run()).toEqual({ files: 1 });
  const found = await Promise.all(files.map((id) => fileIn(context, "UAT", id)));
  expect(found.map((file) => file === undefined)).toEqual([true, false]);
});

test("old attempts and old sums of usage go; the cost of a job stays", async () => {
  const own = tenant();
  const job = await endedJob({ tenant: own });
  const ages = { attempts: "2d", usage: "62d" };
  const round = rounds({ tenants: { [own]: ages } });
  now += 2 * day + 1;
  expect(await round.run()).toEqual({ attempts: 1 });
  const record = (await context.store.get(job.id))!;
  expect(record.attempts).toEqual([]);
  expect(archivedJob(record)).toMatchObject({ cost_usd: 7e-9, cost_usd_estimated: 0 });
  now += 61 * day;
  expect(await round.run()).toEqual({ usage: 1 });
  const range = { fromDay: usageDay(now) - 70, toDay: usageDay(now) };
  const { items } = await context.store.usage({ environment: "UAT", ...range, limit: 100 });
  expect(items.filter((row) => row.tenant === own)).toEqual([]);
});

test("an interrupted round continues, and archives before it erases", async () => {
  const folder = await mkdtemp(join(tmpdir(), "sluice-archive-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const archive = async (environment: string, records: readonly JobRecord[]) => {
    const lines = records.map((record) => ({ at: record.outcome!.at, line: async () => archivedJob(record) }));
    await new ArchiveFolder(folder).append(environment, lines);
  };
  const own = tenant();
  const jobs: Job[] = [];
  for (let i = 0; i < 45; i++) jobs.push(await endedJob({ tenant: own }));
  const secret = await endedJob({ tenant: own, ephemeral: true });
  const unread = await endedJob({ tenant: `${own}-none` });
  now += 2 * hour;
  let steps = 0;
  const proceed = async () => {
    if (++steps > 2) throw new Error("killed");
  };
  const retention = { tenants: { [own]: { texts: "1h" } } };
  await expect(rounds(retention, { archive, proceed }).run()).rejects.toThrow("killed");
  const [name] = await readdir(folder);
  const path = join(folder, name!);
  // The process died while it wrote a line.
  await writeFile(path, `${await readFile(path, "utf8")}{"job_id":"half`);
  expect(await rounds(retention, { archive }).run()).toEqual({ texts: 6 });
  const lines = (await readFile(path, "utf8")).trimEnd().split("\n");
  const archived = lines.map((line) => JSON.parse(line));
  expect(archived.map(({ job_id: id }) => id).sort()).toEqual(jobs.map(({ id }) => id).sort());
  expect(archived[0]).toMatchObject({
    text: "the answer",
    attempts: [{ usage: { input_tokens: 3 } }],
    request: { messages: canonicalPart(template.request).messages },
  });
  expect(await Promise.all([...jobs, secret].map(stateOf))).toEqual(new Array(46).fill("texts"));
  // A job of a tenant with zero retention that was not read within a day.
  now += 22 * hour;
  const zero = { tenants: { ...retention.tenants, [unread.tenant]: { texts: "none" } } };
  expect(await rounds(zero, { archive }).run()).toEqual({ jobs: 1 });
  expect(await stateOf(unread)).toBe("removed");
  expect(await readFile(path, "utf8")).not.toContain(unread.id);
});

/** A worker whose minutes take a millisecond. */
function workerWith(settings: TestContext["settings"], counted: unknown[] = []) {
  return {
    ...context,
    settings,
    timers: { after: (_ms: number, run: () => void) => systemTimers.after(1, run) },
    random: Math.random,
    workerId: "w",
    providers: new Map(),
    metrics: {
      dataRemoved: (...args: unknown[]) => counted.push(args),
      retentionLate: () => {},
    } as unknown as Metrics,
  };
}

test("an archive that fails keeps its own jobs only, and the report tells the error and the lateness", async () => {
  const folder = await mkdtemp(join(tmpdir(), "sluice-archive-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, "file"), "");
  const [own, zero] = [tenant(), tenant()];
  const kept = await endedJob({ tenant: own });
  const unread = [
    await endedJob({ tenant: zero }),
    await endedJob({ tenant: zero, environment: "PROD" }),
    await endedJob({ tenant: own, environment: "PROD" }),
  ];
  now += 25 * hour;
  const retention = retentionOf({
    archive: join(folder, "file", "archive"),
    tenants: { [own]: { texts: "23h" }, [zero]: { texts: "none" } },
    environments: { PROD: { texts: "keep" } },
  });
  const worker = workerWith({ ...context.settings, retention });
  const stop = startRetention({ ...worker, archiveLine: archivedJob });
  const states = () => Promise.all(unread.map(stateOf));
  await vi.waitFor(async () => expect(await states()).toEqual(["removed", "removed", "kept"]));
  const last = async () => (await readRetention(worker)).rounds.UAT;
  await vi.waitFor(async () => expect((await last())?.error).toMatch(/ENOTDIR|EEXIST/));
  now += hour;
  await vi.waitFor(async () => expect((await last())?.lateMs.texts).toBeGreaterThanOrEqual(3 * hour - 10));
  await stop();
  expect(await stateOf(kept)).toBe("kept");
  expect(context.logged.join("")).toContain("failed to remove old data");
});

test("zero retention and other ages go on while the archive of one age fails", async () => {
  const [own, zero, other] = [tenant(), tenant(), tenant()];
  const jobs = [
    await endedJob({ tenant: own }),
    await endedJob({ tenant: zero }),
    // Goes to no archive, and its lane comes after the one that fails.
    await endedJob({ tenant: other, ephemeral: true }),
  ];
  now += 24 * hour;
  const archive = async () => {
    throw new Error("no space");
  };
  const tenants = { [own]: { jobs: "23h" }, [zero]: { texts: "none" as const }, [other]: { jobs: "22h" } };
  const round = rounds({ tenants }, { archive });
  await expect(round.run()).rejects.toThrow("no space");
  expect(await Promise.all(jobs.map(stateOf))).toEqual(["kept", "removed", "removed"]);
});

test("a process repeats rounds, reports the last one, and stops between two steps", async () => {
  const own = tenant();
  const removed = await endedJob({ tenant: own });
  now += 2 * hour;
  const settings = { ...context.settings, retention: retentionOf({ tenants: { [own]: { jobs: "1h" } } }) };
  const counted: unknown[] = [];
  const worker = workerWith(settings, counted);
  expect(await readRetention(worker)).toMatchObject({ keepsAll: false, bytes: expect.any(Number), rounds: {} });
  const stop = startRetention({ ...worker, archiveLine: archivedJob });
  await vi.waitFor(async () => expect(await stateOf(removed)).toBe("removed"));
  await vi.waitFor(async () => {
    const { rounds: last } = await readRetention(worker);
    expect(last).toMatchObject({ UAT: { lateMs: { jobs: 0 } }, PROD: { removed: {} } });
  });
  await stop();
  expect(counted).toEqual([["UAT", "jobs", 1]]);
  expect(context.logged.join("")).toContain('"removed":{"jobs":1}');
  const { rounds: last } = await readRetention(worker);
  now += hour;
  const later = await endedJob({ tenant: own });
  now += 2 * hour;
  expect(await stateOf(later)).toBe("kept");
  expect((await readRetention(worker)).rounds).toEqual(last);
});
