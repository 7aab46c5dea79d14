// Provides the Python of a virtual environment with the clients of test/python/requirements.txt. It is built once for each
// version of that file and of Python, and only if SLUICE_INSTALL_SERVERS=1 asks for it.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import type { TestProject } from "vitest/node";
import { buildOnce, cachePath, exists } from "./build-once.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** The path of a Python that has the clients; null if there is none, which skips the tests that need it. */
    python: string | null;
  }
}

const run = promisify(execFile);
const requirements = resolve(import.meta.dirname, "../python/requirements.txt");
const installTimeoutMs = 10 * 60_000;
const oldest = [3, 10];

export default async function setup(project: TestProject): Promise<(() => void) | undefined> {
  try {
    project.provide("python", await findPython());
    return undefined;
  } catch (error) {
    const { message } = error as Error;
    if (process.env.SLUICE_REQUIRE_SERVERS === "1") {
      throw new Error(`SLUICE_REQUIRE_SERVERS=1, but the Python clients are not available. ${message}`);
    }
    project.provide("python", null);
    return () => {
      process.stderr.write(`\n*** SKIPPED every test of a Python client. ${message}\n`);
    };
  }
}

/** @throws with what to do, if there is none */
async function findPython(): Promise<string> {
  const advice = `Install Python ${oldest.join(".")} or later with its venv module, so that python3 is on the PATH.`;
  const version = await versionOf("python3");
  if (version === undefined) throw new Error(`There is no python3. ${advice}`);
  const [major, minor] = version.split(".").map(Number) as [number, number];
  if (major < oldest[0]! || (major === oldest[0] && minor < oldest[1]!)) {
    throw new Error(`python3 is Python ${version}. ${advice}`);
  }
  const hash = createHash("sha256").update(await readFile(requirements));
  const environment = await cachePath(`python-${hash.update(version).digest("hex").slice(0, 16)}`);
  const python = join(environment, "bin", "python");
  if (!(await exists(environment)) && process.env.SLUICE_INSTALL_SERVERS !== "1") {
    throw new Error(
      `The clients of test/python/requirements.txt are not installed for Python ${version}. ` +
        "Set SLUICE_INSTALL_SERVERS=1, and the tests install them once into a virtual environment.",
    );
  }
  try {
    await buildOnce(environment, install);
  } catch (error) {
    const { stderr, message: said } = error as Error & { stderr?: string };
    throw new Error(`The clients of test/python/requirements.txt cannot be installed. ${advice} (${stderr || said})`);
  }
  return python;
}

/** @param environment where the virtual environment will be; it may be moved later, because only its Python is called */
async function install(environment: string): Promise<void> {
  process.stderr.write("Installing the Python clients for the tests, once: a minute, most of it downloads.\n");
  await run("python3", ["-m", "venv", environment], { timeout: installTimeoutMs });
  const pip = ["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"];
  await run(join(environment, "bin", "python"), [...pip, "--requirement", requirements], { timeout: installTimeoutMs });
}

/** Returns the version, such as `3.11.7`; undefined if there is no such command. */
async function versionOf(command: string): Promise<string | undefined> {
  const print = "import platform; print(platform.python_version())";
  return run(command, ["-c", print]).then(
    ({ stdout }) => stdout.trim(),
    () => undefined,
  );
}
