// Starts the whole service in this process, in either form.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Settings } from "../../src/config/settings.ts";
import { type Service, type StartOptions, startService } from "../../src/service/start-service.ts";
import type { Form } from "./forms.ts";
import { startMongo, startRedis } from "./servers.ts";

export interface StartedService {
  /** Where HTTP answers; in the distributed form another process runs the jobs. */
  url: string;
  /** Folder with the data, in the embedded form. */
  dataDir?: string;
  stop(): Promise<void>;
}

/** Starts one service with SQLite, or two APIs and a worker with servers of their own. */
export function startForm(form: Form, settings: Settings, options: StartOptions = {}): Promise<StartedService> {
  return form === "embedded" ? embedded(settings, options) : distributed(settings, options);
}

async function embedded(settings: Settings, options: StartOptions): Promise<StartedService> {
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-form-"));
  const service = await startService({ ...settings, port: 0, dataDir }, options);
  return {
    url: service.url!,
    dataDir,
    async stop() {
      await service.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

async function distributed(base: Settings, options: StartOptions): Promise<StartedService> {
  // Keys are in a database that all services of a server share, so a key of another test would lock this one out.
  const [redis, mongo] = await Promise.all([startRedis(), startMongo()]);
  const settings: Settings = { ...base, port: 0, distributed: { mongoUrl: mongo.url, redisUrl: redis.url } };
  const services: Service[] = [];
  for (const role of ["api", "api", "worker"] as const)
    services.push(await startService({ ...settings, role }, options));
  return {
    url: services[0]!.url!,
    async stop() {
      await Promise.all(services.map((service) => service.stop()));
      await Promise.all([redis.close(), mongo.close()]);
    },
  };
}
