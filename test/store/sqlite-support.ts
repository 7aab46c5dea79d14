// Stores in folders of their own, and processes that use one.
import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { onTestFinished } from "vitest";
import type { JobStore } from "../../src/store/job-store.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";

export const environments = { UAT: { database: "SSP-dev" }, PROD: { database: "SSP-prod" } };

/** A folder that is removed after the test. */
export async function newDataDir(): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-store-"));
  onTestFinished(() => rm(dataDir, { recursive: true, force: true }));
  return dataDir;
}

/** Opens the store, and closes it again even if the use of it fails. */
export async function withStore<T>(dataDir: string, use: (store: JobStore) => Promise<T>): Promise<T> {
  const store = await openSqliteStore({ dataDir, environments });
  try {
    return await use(store);
  } finally {
    await store.close();
  }
}

export interface StoreProcess {
  process: ChildProcess;
  /** The next line that it prints; undefined when it has ended. */
  nextLine(): Promise<string | undefined>;
  /** SIGKILL; what it had printed by then is still read by `nextLine`. */
  kill(): Promise<void>;
}

/**
 * Runs test/store/sqlite-process.mjs on the folder, in a process of its own.
 * @param maxFileKb no file may grow beyond it
 */
export function startProcess(task: string, dataDir: string, maxFileKb?: number): StoreProcess {
  const args = [resolve(import.meta.dirname, "sqlite-process.mjs"), task, dataDir];
  const options: SpawnOptions = { stdio: ["ignore", "pipe", "inherit"] };
  const child =
    maxFileKb === undefined
      ? spawn(process.execPath, args, options)
      : // POSIX counts in 512-byte blocks.
        spawn("sh", ["-c", `ulimit -f ${maxFileKb * 2}; exec "$0" "$@"`, process.execPath, ...args], options);
  const exited = once(child, "exit");
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const kill = async () => {
    child.kill("SIGKILL");
    await exited;
  };
  onTestFinished(kill);
  return {
    process: child,
    kill,
    async nextLine() {
      const { value, done } = await lines.next();
      return done ? undefined : value;
    },
  };
}

/** Whether this machine lets a process have file systems of its own, as Linux does for root and in most containers. */
export const canMount = spawnSync("unshare", ["-rm", "sh", "-c", "mount -t tmpfs tmpfs /mnt"]).status === 0;

/**
 * Opens the store in a process of its own that sees other file systems, and returns what it says: "open", or why not.
 * @param prepare a shell script that mounts them; the data folder is $1
 */
export async function openWithMounts(dataDir: string, prepare: string): Promise<string | undefined> {
  const program = resolve(import.meta.dirname, "sqlite-process.mjs");
  const script = `set -e; ${prepare}; exec "$0" "$2" hold "$1"`;
  const child = spawn("unshare", ["-rm", "sh", "-c", script, process.execPath, dataDir, program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  for await (const line of createInterface({ input: child.stdout })) return line;
  return undefined;
}
