// A redis-server of the benchmark's own, on a socket file, so that it meets no other server.
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/**
 * Returns undefined if there is no redis-server on the PATH.
 * @param durable whether each command is on disk before its reply (`appendfsync always`). Default: nothing is kept
 */
export async function startRedis(durable = false): Promise<{ socket: string; stop(): Promise<void> } | undefined> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-bench-redis-"));
  const socket = join(folder, "redis.sock");
  const args = ["--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder];
  args.push(...(durable ? ["--appendonly", "yes", "--appendfsync", "always"] : ["--appendonly", "no"]));
  const server = spawn("redis-server", args, { stdio: ["ignore", "pipe", "ignore"] });
  const stop = async () => {
    server.kill();
    await rm(folder, { recursive: true, force: true });
  };
  const ready = new Promise<boolean>((resolve) => {
    createInterface({ input: server.stdout }).on("line", (line) => {
      if (/ready to accept connections/i.test(line)) resolve(true);
    });
    server.once("error", () => resolve(false));
    server.once("exit", () => resolve(false));
  });
  if (await ready) return { socket, stop };
  await stop();
  return undefined;
}
