// Builds FerretDB v1 (a server that speaks MongoDB's protocol, here on SQLite) from the Go sources beside this file, once
// for each version of them, into a cache outside the repository.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { access, mkdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

const sources = join(import.meta.dirname, "ferretdb");
const buildTimeoutMs = 15 * 60_000;
/** The builder touches its lock every second; one that was not touched for this long is that of a dead process. */
const staleLockMs = 10_000;

/**
 * Builds the binary, which takes `LISTEN_ADDRESS DATA_DIR`, and returns its path. Only one of several processes that call
 * this at the same time builds.
 * @throws Error if Go is not installed or the build fails
 */
export async function buildFerretdb(): Promise<string> {
  const binary = await binaryPath();
  while (!(await exists(binary))) {
    const unlock = await lock(`${binary}.lock`);
    if (!unlock) {
      await sleep(500);
      continue;
    }
    try {
      if (!(await exists(binary))) await build(binary);
    } finally {
      await unlock();
    }
  }
  return binary;
}

/** Returns the path of a binary that an earlier call of `buildFerretdb` built from the same sources. */
export async function builtFerretdb(): Promise<string | undefined> {
  const binary = await binaryPath();
  return (await exists(binary)) ? binary : undefined;
}

async function binaryPath(): Promise<string> {
  const files = await Promise.all(["main.go", "go.mod", "go.sum"].map((name) => readFile(join(sources, name))));
  const hash = createHash("sha256");
  for (const file of files) hash.update(file);
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "sluice-test");
  await mkdir(cache, { recursive: true });
  return join(cache, `ferretdb-${hash.digest("hex").slice(0, 16)}`);
}

async function build(binary: string): Promise<void> {
  process.stderr.write("Building FerretDB for the tests, once: a few minutes, most of it downloads of Go modules.\n");
  const unfinished = `${binary}.${process.pid}`;
  try {
    await promisify(execFile)("go", ["build", "-o", unfinished, "."], { cwd: sources, timeout: buildTimeoutMs });
    await rename(unfinished, binary);
  } finally {
    await rm(unfinished, { force: true });
  }
}

/** The function that lets go, or nothing if another process has the lock. */
async function lock(path: string): Promise<(() => Promise<void>) | undefined> {
  try {
    await writeFile(path, String(process.pid), { flag: "wx" });
  } catch {
    const age = await stat(path).then(
      ({ mtimeMs }) => Date.now() - mtimeMs,
      () => 0,
    );
    if (age > staleLockMs) await rm(path, { force: true });
    return undefined;
  }
  const touch = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => {});
  }, 1_000);
  return async () => {
    clearInterval(touch);
    await rm(path, { force: true });
  };
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
