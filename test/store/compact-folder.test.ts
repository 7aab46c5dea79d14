// Files of earlier versions cannot shrink until they are rewritten; new files shrink by themselves.
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "@photostructure/sqlite";
import { expect, onTestFinished, test } from "vitest";
import { compactFolder } from "../../src/store/sqlite/compact-folder.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { beginning, makeJob } from "./conformance/support.ts";
import { environments, newDataDir } from "./sqlite-support.ts";

const databases = Object.values(environments).map(({ database }) => database);

async function fileSize(dataDir: string): Promise<number> {
  return (await stat(join(dataDir, "SSP-dev.sqlite"))).size;
}

/** Stores a job with a long prompt and removes it. Returns the job that stays. */
async function fillAndRemove(dataDir: string) {
  const store = await openSqliteStore({ dataDir, environments });
  onTestFinished(() => store.close());
  const text = "x".repeat(4_000_000);
  const long = makeJob({
    request: { messages: [{ role: "user", content: [{ type: "text", text }] }], parameters: { maxTokens: 1 } },
  });
  const short = makeJob();
  await store.insertMany([long, short]);
  await store.beginAttempt(beginning(long));
  await store.finish("UAT", { jobId: long.id, status: "completed", at: 1, text: "x" });
  await store.remove("UAT", long.id);
  return { store, short };
}

test("a new file gives the space of removed jobs back, a step at a time", async () => {
  const dataDir = await newDataDir();
  const { store, short } = await fillAndRemove(dataDir);
  expect(await store.upkeep.size()).toMatchObject({ fixed: [], freeBytes: expect.any(Number) });
  let steps = 1;
  while ((await store.upkeep.reclaim()) > 0) steps++;
  expect(steps).toBeGreaterThan(3);
  expect(await store.get(short.id)).toBeDefined();
  await store.close();
  expect(await fileSize(dataDir)).toBeLessThan(1_000_000);
});

test("a folder without a database is refused, and not created", async () => {
  const dataDir = await newDataDir();
  for (const folder of [dataDir, join(dataDir, "nowhere")]) {
    await expect(compactFolder(folder, databases).next()).rejects.toThrow(/is not a data folder of Sluice.*--data-dir/);
  }
  expect(await readdir(dataDir)).toEqual([]);
});

test("a file of an earlier version shrinks when it is rewritten, and then by itself; nothing else changes", async () => {
  const dataDir = await newDataDir();
  // As earlier versions created it: without auto_vacuum.
  const old = new DatabaseSync(join(dataDir, "SSP-dev.sqlite"));
  old.exec("PRAGMA journal_mode = WAL; CREATE TABLE earlier (n)");
  old.close();
  const { store, short } = await fillAndRemove(dataDir);
  expect(await store.upkeep.reclaim()).toBe(0);
  expect(await store.upkeep.size()).toMatchObject({ fixed: ["SSP-dev"] });
  await expect(compactFolder(dataDir, databases).next()).rejects.toThrow(/is in use by another process/);
  await store.close();
  const before = await fileSize(dataDir);
  expect(before).toBeGreaterThan(4_000_000);

  const files = [];
  for await (const file of compactFolder(dataDir, databases)) files.push(file);
  expect(files.map(({ path }) => path)).toEqual(
    ["SSP-dev", "SSP-prod", "sluice"].map((name) => join(dataDir, `${name}.sqlite`)),
  );
  expect(files[0]).toMatchObject({ before, after: await fileSize(dataDir) });
  expect(files[0]!.after).toBeLessThan(1_000_000);
  const again = await openSqliteStore({ dataDir, environments });
  onTestFinished(() => again.close());
  expect(await again.upkeep.size()).toMatchObject({ fixed: [], freeBytes: 0 });
  expect((await again.get(short.id))?.job).toEqual(short);
});
