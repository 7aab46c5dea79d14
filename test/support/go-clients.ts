// Provides the compiled tests of test/clients/go. They are built once for each version of those files and of Go. Modules
// are downloaded only if SLUICE_INSTALL_SERVERS=1 asks for it; otherwise Go's own cache must have them.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import type { TestProject } from "vitest/node";
import { buildOnce, cachePath } from "./build-once.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** The path of a program with the tests of the Go clients; null if there is none, which skips them. */
    goClients: string | null;
  }
}

const run = promisify(execFile);
const folder = resolve(import.meta.dirname, "../clients/go");
const buildTimeoutMs = 5 * 60_000;

export default async function setup(project: TestProject): Promise<(() => void) | undefined> {
  try {
    project.provide("goClients", await buildGoClients());
    return undefined;
  } catch (error) {
    project.provide("goClients", null);
    return () => {
      process.stderr.write(`\n*** SKIPPED the tests of the AWS SDK for Go. ${(error as Error).message}\n`);
    };
  }
}

/** @throws with what to do, if it cannot be built */
async function buildGoClients(): Promise<string> {
  const version = await run("go", ["version"], { cwd: folder }).then(
    ({ stdout }) => stdout,
    () => {
      throw new Error("There is no Go. Install Go 1.24 or later, so that go is on the PATH.");
    },
  );
  const hash = createHash("sha256").update(version);
  for (const name of (await readdir(folder)).sort()) hash.update(await readFile(join(folder, name)));
  const program = await cachePath(`go-clients-${hash.digest("hex").slice(0, 16)}`);
  const mayDownload = process.env.SLUICE_INSTALL_SERVERS === "1";
  const env = { ...process.env, GOTOOLCHAIN: "local", ...(!mayDownload && { GOPROXY: "off" }) };
  const options = { cwd: folder, env, timeout: buildTimeoutMs };
  try {
    await buildOnce(program, async (unfinished) => {
      process.stderr.write("Compiling the Go clients for the tests, once: about 20 s.\n");
      await run("go", ["test", "-c", "-o", unfinished, "."], options);
    });
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string };
    const advice = mayDownload ? "" : " Set SLUICE_INSTALL_SERVERS=1, and the tests download its modules once.";
    throw new Error(`test/clients/go does not compile.${advice} (${(stderr || message).trim().split("\n").at(-1)})`);
  }
  return program;
}
