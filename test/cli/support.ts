// Runs the real command as a child process, and a small HTTP server for it to talk to.
import { type ChildProcess, spawn } from "node:child_process";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { resolve } from "node:path";
import { text } from "node:stream/consumers";
import { onTestFinished } from "vitest";
import { sluiceMain } from "../support/sluice-process.ts";

const root = resolve(import.meta.dirname, "../..");

export interface RunOptions {
  env?: Record<string, string>;
  cwd?: string;
  input?: string;
}

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface Running {
  child: ChildProcess;
  ended: Promise<Ended>;
  /** Resolves with the first match in what the command has printed on either output so far. */
  printed(pattern: RegExp): Promise<RegExpExecArray>;
}

/** `sluice ...args`, compiled. It is killed when the test ends. */
export function start(args: string[], { env = {}, cwd = root, input }: RunOptions = {}): Running {
  const child = spawn(process.execPath, [sluiceMain, ...args], {
    cwd,
    // The setup file has taken away whatever credentials the shell has.
    env: { ...process.env, ...env },
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  child.stdin.end(input ?? "");

  let all = "";
  const waiting = new Set<() => void>();
  const collect = (chunk: Buffer) => {
    all += chunk;
    for (const look of waiting) look();
  };
  child.stdout.on("data", collect);
  child.stderr.on("data", collect);
  const ended = Promise.all([text(child.stdout), text(child.stderr), exitOf(child)]).then(([stdout, stderr, exit]) => ({
    stdout,
    stderr,
    ...exit,
  }));
  return {
    child,
    ended,
    printed: (pattern) =>
      new Promise((done, fail) => {
        const look = () => {
          const match = pattern.exec(all);
          if (!match) return;
          waiting.delete(look);
          done(match);
        };
        waiting.add(look);
        look();
        ended.then(() => fail(new Error(`the command ended without printing ${pattern}; it printed:\n${all}`)));
      }),
  };
}

function exitOf(child: ChildProcess): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  return new Promise((resolve) => child.once("exit", (code, signal) => resolve({ code, signal })));
}

export function run(args: string[], options?: RunOptions): Promise<Ended> {
  return start(args, options).ended;
}

interface Exchange {
  method: string;
  url: string;
  body: unknown;
}

/** An address at which no process listens. */
export async function closedAddress(): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}

/** A server that gives the answers in their order, and remembers what it was asked. */
export async function answering(answers: { status?: number; body: unknown }[]) {
  const asked: Exchange[] = [];
  const server = createServer(async (request, response) => {
    const sent = await text(request);
    asked.push({ method: request.method!, url: request.url!, body: sent === "" ? undefined : JSON.parse(sent) });
    const { status = 200, body } = answers[asked.length - 1] ?? { status: 500, body: "one request too many" };
    response.writeHead(status, { "content-type": "application/json" });
    response.end(typeof body === "string" ? body : JSON.stringify(body));
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}
