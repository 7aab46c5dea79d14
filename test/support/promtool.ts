// Provides promtool, which checks alert rules and runs their tests. If it is not on the PATH, it is taken from Debian's
// package without installing that, and only if SLUICE_INSTALL_SERVERS=1 asks for it. Without it, its tests are skipped.
import { execFile } from "node:child_process";
import { access, constants, copyFile, mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import type { TestProject } from "vitest/node";
import { buildOnce, cachePath, exists } from "./build-once.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** The path of promtool; null if there is none, which skips the tests that need it. */
    promtool: string | null;
  }
}

const run = promisify(execFile);
const downloadTimeoutMs = 5 * 60_000;

export default async function setup(project: TestProject): Promise<(() => void) | undefined> {
  try {
    project.provide("promtool", await findPromtool());
    return undefined;
  } catch (error) {
    project.provide("promtool", null);
    return () => {
      process.stderr.write(`\n*** SKIPPED the tests of alert rules. ${(error as Error).message}\n`);
    };
  }
}

/** @throws with what to do, if there is none */
async function findPromtool(): Promise<string> {
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    const path = join(folder, "promtool");
    if (await access(path, constants.X_OK).then(...outcome)) return path;
  }
  const cached = await cachePath("promtool");
  if (await exists(cached)) return cached;
  const advice = "Install promtool, so that it is on the PATH.";
  if (process.env.SLUICE_INSTALL_SERVERS !== "1") {
    throw new Error(
      `${advice} Or set SLUICE_INSTALL_SERVERS=1, and the tests take it from Debian's package prometheus.`,
    );
  }
  const folder = await mkdtemp(join(tmpdir(), "sluice-promtool-"));
  try {
    await buildOnce(cached, (unfinished) => extract(folder, unfinished));
    return cached;
  } catch (error) {
    throw new Error(`${advice} (${String((error as Error).message).split("\n")[0]})`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const outcome = [() => true, () => false] as const;

async function extract(folder: string, path: string): Promise<void> {
  process.stderr.write("Downloading Debian's package prometheus for the tests, once.\n");
  const options = { cwd: folder, timeout: downloadTimeoutMs };
  await run("apt-get", ["download", "prometheus"], options).catch(async () => {
    await run("apt-get", ["update", "-o", "DPkg::Lock::Timeout=300"], options);
    await run("apt-get", ["download", "prometheus"], options);
  });
  const [archive] = await readdir(folder);
  await mkdir(join(folder, "contents"));
  await run("dpkg-deb", ["-x", archive!, "contents"], options);
  await copyFile(join(folder, "contents/usr/bin/promtool"), path);
}
