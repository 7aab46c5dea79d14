// The library: what a program that embeds Sluice may import.
import { loadSettings } from "./config/load.ts";
import { type Service, startService } from "./service/start-service.ts";

export { loadSettings } from "./config/load.ts";
export type { Settings } from "./config/settings.ts";
export { type Service, type StartOptions, startService } from "./service/start-service.ts";

export interface WorkerOptions {
  /** Runs only the jobs of the environments with this database, such as SSP-dev. Default: all. */
  databaseName?: string;
  /**
   * The variables MONGODB_URL, REDIS_URL and SLUICE_CONFIG. Default: those of the process. The worker reads credentials from
   * both, because the AWS SDK itself reads those of the process.
   */
  env?: Record<string, string | undefined>;
  /** The folder in which Sluice looks for sluice.yaml. Default: the working directory. */
  cwd?: string;
}

/**
 * Starts a worker in this process, as `sluice worker` does. It needs MONGODB_URL and REDIS_URL.
 * @throws ConfigError which names what is missing or wrong
 */
export async function startWorker(options: WorkerOptions = {}): Promise<Pick<Service, "stop">> {
  const { databaseName, env = process.env, cwd = process.cwd() } = options;
  const only = databaseName === undefined ? {} : { only: { database: databaseName } };
  return startService(await loadSettings({ env, cwd, role: "worker", ...only }));
}
