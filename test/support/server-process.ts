// A real server for tests: a process on a free port of 127.0.0.1, with a temporary folder of its own. It dies with the
// process that started it, however that one dies.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, open, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** How a kind of server is started. Plain data, so that it can be handed to the processes that run the tests. */
export interface Launch {
  /** For people, such as `FerretDB 1.24 (SQLite)`. */
  name: string;
  file: string;
  /** `{port}` and `{data}` stand for the port and the data folder. */
  args: string[];
  /** `{port}` stands for the port. */
  url: string;
}

export interface TestServer {
  name: string;
  url: string;
  port: number;
  /** The process id; changes with a restart. */
  readonly pid: number;
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>;
  /** SIGTERM; resolves when the process is gone. */
  stop(): Promise<void>;
  /** After `kill` or `stop`: starts it again on the same port and data. Resolves when it answers. */
  restart(): Promise<void>;
  /** SIGSTOP: connections stay open and nothing answers. */
  pause(): void;
  resume(): void;
  /** Kills it and removes its folder. */
  close(): Promise<void>;
}

const startTries = 3;
const readyWithinMs = 30_000;

/**
 * @param isReady whether the server at this port can be used; asked again until it says so
 * @param args added to the launch's own
 */
export async function startServer(
  launch: Launch,
  isReady: (port: number) => Promise<boolean>,
  args: string[] = [],
): Promise<TestServer> {
  for (let tries = 1; ; tries++) {
    try {
      return await start(launch, await freePort(), isReady, args);
    } catch (error) {
      // Another process may have taken the port in between.
      if (tries === startTries) throw error;
    }
  }
}

async function start(
  launch: Launch,
  port: number,
  isReady: (port: number) => Promise<boolean>,
  extraArgs: string[],
): Promise<TestServer> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-server-"));
  const data = join(folder, "data");
  await mkdir(data);
  const fill = (text: string) => text.replace("{port}", String(port)).replace("{data}", data);
  const args = [...launch.args, ...extraArgs].map(fill);
  let running: { child: ChildProcess; watchdog: ChildProcess } | undefined;

  const run = async () => {
    const log = await open(join(folder, "log"), "a");
    const child = spawn(launch.file, args, { cwd: folder, stdio: ["ignore", log.fd, log.fd], detached: true });
    await once(child, "spawn");
    await log.close();
    running = { child, watchdog: watch(child.pid!, folder) };
    const deadline = Date.now() + readyWithinMs;
    while (!(await isReady(port).catch(() => false))) {
      if (child.exitCode !== null || child.signalCode !== null || Date.now() > deadline) {
        const said = (await readFile(join(folder, "log"), "utf8")).slice(-2_000);
        await end("SIGKILL");
        throw new Error(`${launch.name} did not start. It said:\n${said}`);
      }
      await sleep(20);
    }
  };
  const end = async (signal: "SIGKILL" | "SIGTERM") => {
    if (!running) return;
    const { child, watchdog } = running;
    running = undefined;
    // Before the server: its number could be that of another process afterwards.
    watchdog.kill("SIGKILL");
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill(signal);
    await gone;
  };

  try {
    await run();
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
  return {
    name: launch.name,
    url: fill(launch.url),
    port,
    get pid() {
      return running!.child.pid!;
    },
    kill: () => end("SIGKILL"),
    stop: () => end("SIGTERM"),
    restart: run,
    pause: () => running?.child.kill("SIGSTOP"),
    resume: () => running?.child.kill("SIGCONT"),
    async close() {
      await end("SIGKILL");
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Waits for the end of its input, which comes when our process ends, by whatever cause. */
function watch(pid: number, folder: string): ChildProcess {
  const script = 'read -r _; kill -9 "$1"; rm -rf "$2"';
  const watchdog = spawn("sh", ["-c", script, "sh", String(pid), folder], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  watchdog.unref();
  (watchdog.stdin as unknown as { unref(): void }).unref();
  return watchdog;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}
