// The settings of a service that a benchmark starts within its process.
import type { FileSettings } from "../../src/config/config-schema.ts";
import { resolve } from "../../src/config/resolve.ts";
import type { Settings } from "../../src/config/settings.ts";

/** Returns the settings of an embedded service on a free port. @throws Error if the file has mistakes */
export function serviceSettings(file: FileSettings, dataDir: string): Settings {
  const { settings, problems } = resolve(file);
  if (problems.length > 0) throw new Error(JSON.stringify(problems));
  return {
    source: "bench",
    authentication: "keys",
    dashboard: true,
    simulator: false,
    role: "all",
    runs: Object.keys(settings.environments),
    ...settings,
    dataDir,
    port: 0,
    logLevel: "warn",
  };
}
