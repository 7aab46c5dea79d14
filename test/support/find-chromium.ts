// Finds a real browser for the tests of the dashboard. Debian's is installed only if SLUICE_INSTALL_SERVERS=1 asks for it.
import { execFile } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);
const paths = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const installTimeoutMs = 10 * 60_000;

/** @throws with what to do, if there is none */
export async function findChromium(): Promise<string> {
  const installed = await firstOf(paths);
  if (installed) return installed;
  const advice = "Install chromium, so that it is at /usr/bin/chromium.";
  if (process.env.SLUICE_INSTALL_SERVERS !== "1") {
    throw new Error(`${advice} Or set SLUICE_INSTALL_SERVERS=1, and the tests install Debian's.`);
  }
  process.stderr.write("Installing Debian's chromium for the tests, once.\n");
  try {
    const options = { env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" }, timeout: installTimeoutMs };
    const lock = ["-o", "DPkg::Lock::Timeout=300"];
    await run("apt-get", ["update", ...lock], options);
    await run("apt-get", ["install", "-y", "--no-install-recommends", ...lock, "chromium"], options);
    return (await firstOf(paths))!;
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string };
    throw new Error(`${advice} (apt-get failed: ${(stderr || message).trim().split("\n", 1)[0]})`);
  }
}

async function firstOf(candidates: readonly string[]): Promise<string | undefined> {
  for (const path of candidates) {
    const usable = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (usable) return path;
  }
  return undefined;
}
