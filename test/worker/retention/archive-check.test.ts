// Which folders the archive may be in.
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { archiveProblem } from "../../../src/worker/retention/archive-check.ts";
import { ArchiveFolder } from "../../../src/worker/retention/archive-folder.ts";
import { testSettings } from "../../support/jobs-context.ts";

let root: string;
let dataDir: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "sluice-archive-"));
  dataDir = join(root, "data");
  await writeFile(join(root, "file"), "");
  await symlink(root, join(root, "link"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

function problem(archive: string | undefined): string | undefined {
  const settings = testSettings();
  return archiveProblem({ ...settings, dataDir, retention: { ...settings.retention, ...(archive && { archive }) } });
}

test("a folder that exists or can be created is right, and nothing is left there", async () => {
  const before = await readdir(root);
  for (const archive of [undefined, root, join(root, "a", "b"), join(root, "data-archive")]) {
    expect(problem(archive)).toBeUndefined();
  }
  expect(await readdir(root)).toEqual(before);
});

test("a file and a place in the data folder are wrong", () => {
  expect(problem(join(root, "file"))).toMatch(/file is not a folder\. Name another folder in retention\.archive\.$/);
  expect(problem(join(root, "file", "archive"))).toMatch(/file is not a folder/);
  for (const archive of [dataDir, join(dataDir, "archive"), join(root, "link", "data", "archive")]) {
    expect(problem(archive)).toMatch(/is in the data folder/);
  }
});

test.runIf(process.platform === "linux")(
  "a place that cannot be written is wrong, and no write hangs there",
  async () => {
    expect(problem("/proc/archive/a")).toMatch(/^The archive \/proc\/archive\/a cannot be written: /);
    await expect(new ArchiveFolder("/proc/archive/a").append("UAT", [])).rejects.toThrow(/proc/);
    expect(existsSync("/proc/archive")).toBe(false);
  },
);
