// Processes that are killed while they write, end, erase and remove jobs with large texts: what they have acknowledged is
// whole, what they have begun to erase is gone or whole, and no blob is left over.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, onTestFinished, test } from "vitest";
import { isErased } from "../../src/domain/job.ts";
import { canonicalPart } from "../../src/domain/request.ts";
import type { JobStore } from "../../src/store/job-store.ts";
import { withLargeTexts } from "../../src/store/large-texts.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { makeJob } from "../store/conformance/support.ts";
import { readBlobs } from "../store/large-text-support.ts";
import { openTestMongo } from "../support/mongo-store.ts";
import { testSeed } from "../support/seed.ts";
import { sharedMongoUrl, withoutMongo } from "../support/servers.ts";

const environments = { UAT: { database: "SSP-dev" }, PROD: { database: "SSP-prod" } };
const textOf = (id: string, what: string) => `${what} ${id} `.repeat(8_000);

type Step = "inserted" | "finished" | "erasing" | "removing";

/** Runs the process until it has printed so many lines, and kills it. Records the last step of each job. */
async function runAndKill(target: object, lines: number, steps: Map<string, Step>): Promise<void> {
  const { id: _, request: _request, ...template } = makeJob();
  const script = resolve(import.meta.dirname, "large-texts-process.mjs");
  const options = JSON.stringify({ ...target, template });
  const child = spawn(process.execPath, [script, options], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit");
  onTestFinished(() => void child.kill("SIGKILL"));
  let left = lines;
  for await (const line of createInterface({ input: child.stdout })) {
    const [step, id] = line.split(" ");
    steps.set(id!, step as Step);
    if (--left <= 0) child.kill("SIGKILL");
  }
  await exited;
}

/** Checks every job, and returns the number of blobs that there must be. */
async function check(store: JobStore, steps: ReadonlyMap<string, Step>): Promise<number> {
  let texts = 0;
  const ids = new Set(steps.keys());
  // A job may be stored, and its process killed before it could say so.
  for (const { job } of (await store.list({ environment: "UAT", limit: 1_000 })).items) ids.add(job.id);
  for (const id of ids) {
    const step = steps.get(id);
    const record = await store.get(id);
    if (!record) {
      expect(step, id).toBe("removing");
      continue;
    }
    if (record.job.erased) {
      expect(["erasing", "removing"], id).toContain(step);
      expect(isErased(record.job.request)).toBe(true);
      continue;
    }
    const [message] = canonicalPart(record.job.request).messages;
    expect(message?.content).toEqual([{ type: "text", text: textOf(id, "request") }]);
    texts += 1;
    if (step !== undefined && step !== "inserted") expect(record.outcome, id).toBeDefined();
    if (!record.outcome) continue;
    // MongoDB erases the answer first. The next erasure of the job ends what was begun.
    if (record.outcome.text === "") {
      expect(["erasing", "removing"], id).toContain(step);
      await store.eraseTexts("UAT", id);
      expect(isErased((await store.get(id))!.job.request)).toBe(true);
      texts -= 1;
      continue;
    }
    expect(record.outcome).toMatchObject({ text: "short", native: { body: textOf(id, "answer") } });
    texts += 1;
  }
  return texts;
}

/** Numbers of lines after which a process is killed. */
function kills(count: number): number[] {
  let random = testSeed;
  return Array.from({ length: count }, () => {
    random = (random * 1_103_515_245 + 12_345) % 2 ** 31;
    return 1 + (random % 40);
  });
}

test("embedded: the next process finds what is left over at its start", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-large-kill-"));
  onTestFinished(() => rm(dataDir, { recursive: true, force: true }));
  const sqlite = { dataDir, environments };
  const steps = new Map<string, Step>();
  let leftOver = 0;
  for (const lines of kills(12)) {
    await runAndKill({ sqlite }, lines, steps);
    const inner = await openSqliteStore(sqlite);
    const store = withLargeTexts(inner, { clock: { wall: Date.now }, environments: ["UAT", "PROD"] });
    leftOver += readBlobs(dataDir).length;
    await store.sweepTexts(true);
    const texts = await check(store, steps);
    expect(readBlobs(dataDir)).toHaveLength(texts);
    leftOver -= texts;
    await store.close();
  }
  // Otherwise no kill came between a blob and its row, and the test would show nothing.
  expect(leftOver).toBeGreaterThan(0);
}, 120_000);

describe.skipIf(withoutMongo())("distributed", () => {
  test("another process finds what is left over after a day", async () => {
    const mongo = await openTestMongo();
    onTestFinished(() => mongo.cleanup());
    const { UAT, PROD, service } = mongo.databases;
    const own = { UAT: { database: UAT }, PROD: { database: PROD } };
    const target = { mongo: { url: sharedMongoUrl(), environments: own, serviceDatabase: service } };
    const steps = new Map<string, Step>();
    for (const lines of kills(4)) await runAndKill(target, lines, steps);
    const tomorrow = { wall: () => Date.now() + 25 * 3_600_000 };
    const store = withLargeTexts(mongo.store, { clock: tomorrow, environments: ["UAT", "PROD"] });
    await store.sweepTexts();
    const texts = await check(store, steps);
    const blobs = await mongo.client.db(UAT).collection("blobs").countDocuments({ last: true });
    const pieces = await mongo.client.db(UAT).collection("blobs").countDocuments({});
    expect({ blobs, pieces }).toEqual({ blobs: texts, pieces: texts });
  }, 120_000);
});
