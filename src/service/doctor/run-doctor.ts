// Runs every check of the doctor side by side. It reads the configuration as the service does, and changes nothing.

import { ConfigError } from "../../config/config-problems.ts";
import { type Environment, readVariable } from "../../config/environment.ts";
import { type LoadOptions, loadSettings } from "../../config/load.ts";
import { secretHider } from "../../config/secret-hider.ts";
import type { Settings } from "../../config/settings.ts";
import { type Finding, fix, ok, skip } from "./findings.ts";
import { checkFolders } from "./folder-check.ts";
import { checkMongo } from "./mongo-check.ts";
import { checkProviders } from "./provider-check.ts";
import { checkRedis } from "./redis-check.ts";
import { checkRetention } from "./retention-check.ts";
import { checkService } from "./service-check.ts";

export interface DoctorOptions extends Pick<LoadOptions, "cwd" | "args"> {
  env: Environment;
  /** Address of the running service. */
  serviceUrl: string;
  /** Makes one call of one token to each deployment. It costs a little. */
  callModels: boolean;
}

/** Returns what was found, in a fixed order and without secrets. Never rejects because of something that is wrong. */
export async function runDoctor(options: DoctorOptions): Promise<Finding[]> {
  const { env, cwd, args, serviceUrl, callModels } = options;
  const url = serviceUrl.replace(/\/+$/, "");
  const apiKey = readVariable(env, "SLUICE_API_KEY");
  const service = checkService(url, apiKey);
  let settings: Settings;
  try {
    settings = await loadSettings({ env, cwd, ...(args && { args }), role: "none" });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return hidden([fix("configuration", error.message), ...(await service)], env, []);
  }
  const { distributed, source } = settings;
  const origin = source === "defaults" ? "the defaults and the environment" : source;
  const stores = distributed
    ? [checkRedis(distributed.redisUrl), checkMongo(distributed.mongoUrl)]
    : [Promise.resolve([skip("redis and mongodb", "Not used: MONGODB_URL and REDIS_URL are not set.")])];
  const retention = checkRetention(url, apiKey, settings.retention.warnAboveBytes);
  const parts = [checkProviders(settings, { env, callModels }), ...stores, checkFolders(settings), service, retention];
  const found = (await Promise.all(parts)).flat();
  return hidden(
    [ok("configuration", `The configuration (${origin}) is valid.`), ...found],
    env,
    keyVariables(settings),
  );
}

function keyVariables({ models }: Settings): string[] {
  return Object.values(models).flatMap((model) => model.deployments.flatMap((d) => d.openai?.apiKeyEnv ?? []));
}

function hidden(findings: Finding[], env: Environment, also: string[]): Finding[] {
  const hide = secretHider(env, also);
  return findings.map((finding) => ({ ...finding, text: hide(finding.text) }));
}
