// Loads a configuration in a working directory of its own, with an environment that contains only the given variables.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { ConfigError } from "../../src/config/config-problems.ts";
import { type LoadOptions, loadSettings } from "../../src/config/load.ts";
import type { Settings } from "../../src/config/settings.ts";

/** Any values work, because nothing is called. */
export const someCredentials = { AWS_ACCESS_KEY_ID: "test", AWS_SECRET_ACCESS_KEY: "test" };

/** A folder that is removed when the test ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "sluice-config-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

interface LoadCase {
  /** Content of sluice.yaml. */
  yaml?: string;
  env?: Record<string, string>;
  args?: LoadOptions["args"];
  refuseEmpty?: boolean;
}

export function load({ yaml, env = {}, args, refuseEmpty = false }: LoadCase): Promise<Settings> {
  const cwd = temporaryFolder();
  if (yaml !== undefined) writeFileSync(join(cwd, "sluice.yaml"), yaml);
  return loadSettings({ env: { ...someCredentials, ...env }, cwd, refuseEmpty, ...(args && { args }) });
}

/** Returns the message of the ConfigError that loading throws. */
export async function mistakesIn(given: LoadCase): Promise<string> {
  const result = await load(given).catch((error: unknown) => error);
  if (result instanceof ConfigError) return result.message;
  throw new Error(`expected a ConfigError, got ${JSON.stringify(result)}`, { cause: result });
}
