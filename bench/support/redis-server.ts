// A redis-server of the benchmark's own, on a socket file, so that it meets no other server. It keeps nothing.
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** Undefined if there is no redis-server on the PATH. */
export async function startRedis(): Promise<{ socket: string; stop(): Promise<void> } | undefined> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-bench-redis-"));
  const socket = join(folder, "redis.sock");
  const args = ["--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", folder];
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
