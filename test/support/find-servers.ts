// Finds a real Redis and a real server that speaks MongoDB's protocol on this machine. A server that is not on the PATH is
// installed or built only if SLUICE_INSTALL_SERVERS=1 asks for it.
import { execFile } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { buildFerretdb, builtFerretdb } from "./ferretdb-build.ts";
import type { Launch } from "./server-process.ts";

const run = promisify(execFile);
const installTimeoutMs = 10 * 60_000;
const mayInstall = process.env.SLUICE_INSTALL_SERVERS === "1";
/** What to do where this file could install a server but was not asked to. */
const askToInstall = "Or set SLUICE_INSTALL_SERVERS=1, and the tests";

/** @throws with what to do, if there is none */
export async function findRedis(): Promise<Launch> {
  const installed = (await onPath("redis-server")) ?? (await onPath("valkey-server"));
  if (installed) return redisLaunch(installed);
  const advice = "Install redis-server or valkey-server, so that it is on the PATH.";
  if (process.getuid?.() !== 0 || !(await onPath("apt-get"))) throw new Error(advice);
  if (!mayInstall) throw new Error(`${advice} ${askToInstall} install Debian's redis-server.`);
  process.stderr.write("Installing Debian's redis-server for the tests, once.\n");
  try {
    // RUNLEVEL=1 keeps the package from starting its service.
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
    const options = { env, timeout: installTimeoutMs };
    const lock = ["-o", "DPkg::Lock::Timeout=300"];
    await run("apt-get", ["update", ...lock], options);
    await run("apt-get", ["install", "-y", "--no-install-recommends", ...lock, "redis-server"], options);
    return redisLaunch((await onPath("redis-server"))!);
  } catch (error) {
    throw new Error(`${advice} (apt-get failed: ${firstLine(error)})`);
  }
}

/** @throws with what to do, if there is none */
export async function findMongo(): Promise<Launch> {
  const url = "mongodb://127.0.0.1:{port}/?directConnection=true";
  const mongod = await onPath("mongod");
  if (mongod) {
    const args = ["--bind_ip", "127.0.0.1", "--port", "{port}", "--dbpath", "{data}", "--replSet", "rs0", "--quiet"];
    return { name: "MongoDB", file: mongod, args, url };
  }
  const ferretdb = await onPath("ferretdb");
  if (ferretdb) {
    const args = ["--listen-addr=127.0.0.1:{port}", "--handler=sqlite", "--sqlite-url=file:{data}/"];
    const quiet = ["--debug-addr=-", "--telemetry=disable", "--state-dir={data}", "--log-level=warn"];
    return { name: "FerretDB (SQLite)", file: ferretdb, args: [...args, ...quiet], url };
  }
  const advice = "Install mongod (MongoDB 6 or later), so that it is on the PATH.";
  if (!(await onPath("go"))) throw new Error(`${advice} Or install Go 1.22 or later, to build FerretDB.`);
  const built = await builtFerretdb();
  if (built === undefined && !mayInstall) {
    throw new Error(`${advice} ${askToInstall} build FerretDB once, which takes some minutes.`);
  }
  try {
    const file = built ?? (await buildFerretdb());
    return { name: "FerretDB 1.24 (SQLite)", file, args: ["127.0.0.1:{port}", "{data}"], url };
  } catch (error) {
    throw new Error(`${advice} (the build failed: ${firstLine(error)})`);
  }
}

function redisLaunch(file: string): Launch {
  const name = file.endsWith("valkey-server") ? "Valkey" : "Redis";
  const args = ["--bind", "127.0.0.1", "--port", "{port}", "--dir", "{data}", "--save", "", "--appendonly", "no"];
  return { name, file, args, url: "redis://127.0.0.1:{port}" };
}

async function onPath(command: string): Promise<string | undefined> {
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    const path = join(folder, command);
    const usable = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (usable) return path;
  }
  return undefined;
}

function firstLine(error: unknown): string {
  const { stderr, message } = error as { stderr?: string; message: string };
  return (stderr || message).trim().split("\n", 1)[0]!;
}
