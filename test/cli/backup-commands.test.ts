// What sluice backup and sluice restore print, and how they exit. What they copy is tested in test/store.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { progressText } from "../../src/cli/backup-view.ts";
import { version } from "../../src/config/version.ts";
import { auditEntries } from "../../src/jobs/audit/audit-entry.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { sluice } from "./run-inside.ts";

const environments = { UAT: { database: "SSP-dev" }, PROD: { database: "SSP-prod" } };

let root: string;
let dataDir: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "sluice-backup-"));
  dataDir = join(root, "data");
  await (await openSqliteStore({ dataDir, environments })).close();
  await writeFile(join(dataDir, "notes.sqlite"), "no database ".repeat(1_000));
});

afterAll(() => rm(root, { recursive: true, force: true }));

test("backup, check and restore say what they did", async () => {
  const folder = join(root, "one");
  const backup = await sluice(["backup", folder, "--data-dir", dataDir]);
  expect(backup.stderr).toBe("Left out notes.sqlite, which is not a database.\n");
  expect(backup.stdout).toMatch(
    /^Backed up .*\/data to .*\/one as of .*Z: 3 databases and 0 files \(\d+kB\), in \d+ s\.\n$/,
  );
  expect(backup.code).toBe(0);
  // A check needs no valid configuration.
  const check = await sluice(["restore", folder, "--check"], { SLUICE_CONFIG: join(root, "missing.yaml") });
  expect(check.stdout).toMatch(/^Checked the backup .*\/one of .*Z: 3 databases .* It is complete and undamaged\.\n$/);
  const restore = await sluice(["restore", folder, "--data-dir", dataDir]);
  expect(restore.stdout).toMatch(/^Restored the backup .* The replaced data is in .*\/data\/before-restore-.*Z\.\n$/);
  expect([check.code, restore.code]).toEqual([0, 0]);
  const store = await openSqliteStore({ dataDir, environments });
  const entries = await auditEntries(store).list(10);
  await store.close();
  const { created_at } = JSON.parse(await readFile(join(folder, "manifest.json"), "utf8"));
  expect(entries.map(({ value }) => value)).toMatchObject([
    { action: "data.restore", actor: { kind: "command" }, details: { backup_of: created_at }, result: "ok" },
  ]);
});

test("with --json, they print one object", async () => {
  const folder = join(root, "two");
  const backup = await sluice(["backup", folder, "--data-dir", dataDir, "--json"]);
  const manifest = JSON.parse(await readFile(join(folder, "manifest.json"), "utf8"));
  const { created_at, databases } = manifest;
  expect(JSON.parse(backup.stdout)).toEqual({
    ...{ folder, format: 1, sluice: version, created_at, databases, files: 0, left_out: expect.any(Array) },
    ...{ bytes: expect.any(Number), seconds: expect.any(Number) },
  });
  const check = await sluice(["restore", folder, "--check", "--json"]);
  expect(JSON.parse(check.stdout)).toEqual({ folder, sluice: version, created_at, ok: true });
  const target = join(root, "new");
  const restore = await sluice(["restore", folder, "--data-dir", target, "--json"]);
  expect(JSON.parse(restore.stdout)).toEqual({ folder, sluice: version, created_at, data_dir: target, replaced: null });
});

test("what is refused is a sentence on standard error, and exit code 1", async () => {
  const inMongo = { MONGODB_URL: "mongodb://127.0.0.1:1", REDIS_URL: "redis://127.0.0.1:1" };
  for (const [args, env, says] of [
    [["backup", join(root, "three"), "--data-dir", join(root, "nothing")], {}, "There is no data of Sluice in"],
    [["backup", join(root, "three")], inMongo, "the data is in MongoDB"],
    [["restore", join(root, "three")], inMongo, "the data is in MongoDB"],
    [["restore", "--check", dataDir], {}, "is not a complete backup"],
  ] as const) {
    const { code, stdout, stderr } = await sluice(args, env);
    expect(stderr).toContain(says);
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  }
});

test("the progress has a percentage and an expected end", () => {
  const progress = { step: "copying", bytes: 1_200_000_000, totalBytes: 2_800_000_000 } as const;
  expect(progressText(progress, 9_000)).toBe("copying  42%  1.2GB of 2.8GB  ETA 12 s");
  expect(progressText({ ...progress, bytes: 0, totalBytes: 0 }, 0)).toBe("copying");
});
