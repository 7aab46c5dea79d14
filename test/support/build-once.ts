// What tests build once into a cache outside the repository: FerretDB, and the virtual environment of the Python clients.
import { access, mkdir, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** The builder touches its lock every second. A lock that was not touched for this long belongs to a dead process. */
const staleLockMs = 10_000;

/** Returns the path of an entry of the cache, whether or not it exists. */
export async function cachePath(name: string): Promise<string> {
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "sluice-test");
  await mkdir(cache, { recursive: true });
  return join(cache, name);
}

/**
 * Builds what is missing at `path`. Only one of several processes that call this at the same time builds, and a build that
 * fails leaves nothing behind.
 * @param build makes a file or folder at the path that it gets, which then moves to `path`
 */
export async function buildOnce(path: string, build: (unfinished: string) => Promise<void>): Promise<void> {
  const unfinished = `${path}.${process.pid}`;
  while (!(await exists(path))) {
    const unlock = await lock(`${path}.lock`);
    if (!unlock) {
      await sleep(500);
      continue;
    }
    try {
      if (await exists(path)) return;
      await build(unfinished);
      await rename(unfinished, path);
    } finally {
      await rm(unfinished, { recursive: true, force: true });
      await unlock();
    }
  }
}

export function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Returns the function that unlocks, or nothing if another process has the lock. */
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
