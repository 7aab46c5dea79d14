// Erased texts are gone from the files, not only from the answers.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { beginning, makeJob } from "./conformance/support.ts";
import { environments, newDataDir } from "./sqlite-support.ts";

/** A store whose texts were erased, beside a job that still has its own. */
async function erasedIn(dataDir: string) {
  const store = await openSqliteStore({ dataDir, environments });
  // Long enough for pages of their own.
  const long = (word: string) => `${word} `.repeat(5000);
  const request = {
    messages: [{ role: "user" as const, content: [{ type: "text" as const, text: long("secretprompt") }] }],
    parameters: { maxTokens: 5 },
  };
  const [job, other] = [makeJob({ request }), makeJob()];
  await store.insertMany([job, other]);
  await store.beginAttempt(beginning(job));
  await store.finish("UAT", { jobId: job.id, status: "completed", at: 1, text: long("secretanswer") });
  await store.eraseTexts("UAT", job.id);
  return { store, other };
}

async function bytesIn(dataDir: string): Promise<Buffer> {
  const files = (await readdir(dataDir)).filter((name) => name.includes("sqlite"));
  return Buffer.concat(await Promise.all(files.map((name) => readFile(join(dataDir, name)))));
}

test("no file holds them once the store is closed", async () => {
  const dataDir = await newDataDir();
  const { store, other } = await erasedIn(dataDir);
  await store.close();
  const bytes = await bytesIn(dataDir);
  expect(bytes.includes(other.id)).toBe(true);
  expect(bytes.includes("secretprompt")).toBe(false);
  expect(bytes.includes("secretanswer")).toBe(false);
});

test("nor does one soon after, while the store is open", async () => {
  const dataDir = await newDataDir();
  const { store, other } = await erasedIn(dataDir);
  onTestFinished(() => store.close());
  expect((await bytesIn(dataDir)).includes("secretprompt"), "it had been there").toBe(true);
  const noneHolds = async () => {
    const bytes = await bytesIn(dataDir);
    expect(bytes.includes("secretprompt")).toBe(false);
    expect(bytes.includes("secretanswer")).toBe(false);
  };
  await vi.waitFor(noneHolds, { timeout: 20_000, interval: 200 });
  expect((await store.get(other.id))?.job).toEqual(other);
});
