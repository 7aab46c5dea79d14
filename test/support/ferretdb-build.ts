// Builds FerretDB v1 (a server that speaks MongoDB's protocol, here on SQLite) from the Go sources in `ferretdb`, once for
// each version of them.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { buildOnce, cachePath, exists } from "./build-once.ts";

const sources = join(import.meta.dirname, "ferretdb");
const buildTimeoutMs = 15 * 60_000;

/**
 * Builds the binary, which takes `LISTEN_ADDRESS DATA_DIR`, and returns its path.
 * @throws Error if Go is not installed or the build fails
 */
export async function buildFerretdb(): Promise<string> {
  const binary = await binaryPath();
  await buildOnce(binary, async (unfinished) => {
    process.stderr.write("Building FerretDB for the tests, once: a few minutes, most of it downloads of Go modules.\n");
    await promisify(execFile)("go", ["build", "-o", unfinished, "."], { cwd: sources, timeout: buildTimeoutMs });
  });
  return binary;
}

/** Returns the path of a binary that an earlier call of `buildFerretdb` built from the same sources. */
export async function builtFerretdb(): Promise<string | undefined> {
  const binary = await binaryPath();
  return (await exists(binary)) ? binary : undefined;
}

async function binaryPath(): Promise<string> {
  const files = await Promise.all(["main.go", "go.mod", "go.sum"].map((name) => readFile(join(sources, name))));
  const hash = createHash("sha256");
  for (const file of files) hash.update(file);
  return cachePath(`ferretdb-${hash.digest("hex").slice(0, 16)}`);
}
