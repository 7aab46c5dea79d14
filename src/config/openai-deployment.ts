// What is specific to deployments with `provider: openai`: their keys, their ids, and where their API keys are found.
import { ConfigError, type Path, type Report, showValue } from "./config-problems.ts";
import type { FileDeployment } from "./config-schema.ts";
import type { Environment } from "./environment.ts";
import type { DeploymentSettings, OpenAiSettings, Settings } from "./settings.ts";

/** The part of a deployment that depends on its provider. */
export type ProviderPart = Pick<
  DeploymentSettings,
  "id" | "provider" | "region" | "endpoint" | "openai" | "account" | "listedAs" | "baseModel"
>;

const defaultRegion = "local";

/**
 * Returns the default name of the token limit. OpenAI's newer models refuse the older name, and most other servers do
 * not know the newer one.
 */
function defaultMaxTokensField(host: string): OpenAiSettings["maxTokensField"] {
  const isOpenAi = host === "api.openai.com" || host.endsWith(".openai.azure.com");
  return isOpenAi ? "max_completion_tokens" : "max_tokens";
}

/**
 * Resolves the part of an OpenAI-compatible deployment that depends on its provider, and reports mistakes in its keys.
 */
export function resolveOpenAi(d: FileDeployment, path: Path, report: Report): ProviderPart {
  const { baseUrl, apiKeyEnv, region = defaultRegion } = d;
  if (d.endpoint !== undefined) {
    report([...path, "endpoint"], "must not be set with provider: openai; use baseUrl instead");
  }
  for (const key of bedrockOnly) {
    if (d[key] !== undefined) {
      report([...path, key], "must not be set with provider: openai; only provider: bedrock uses it");
    }
  }
  if (baseUrl === undefined) {
    report(
      [...path, "baseUrl"],
      "is required: the server's address with its version, such as http://127.0.0.1:11434/v1",
    );
  }
  // The schema's pattern accepts some invalid addresses, such as one with port 70000.
  const isAddress = baseUrl !== undefined && URL.canParse(baseUrl);
  if (baseUrl !== undefined && !isAddress)
    report([...path, "baseUrl"], `must be a valid address; got ${showValue(baseUrl)}`);
  const { host, hostname } = new URL(isAddress ? baseUrl : "http://unknown");
  return {
    id: `openai/${d.name ?? host}/${d.modelId}`,
    provider: "openai",
    region,
    openai: {
      baseUrl: (baseUrl ?? "").replace(/\/+$/, ""),
      ...(apiKeyEnv !== undefined && { apiKeyEnv }),
      maxTokensField: d.maxTokensField ?? defaultMaxTokensField(hostname),
    },
  };
}

const bedrockOnly = ["profile", "roleArn", "externalId", "account", "listedAs", "baseModel"] as const;
const openAiOnly = ["baseUrl", "apiKeyEnv", "name", "maxTokensField"] as const;

/** Reports keys that a Bedrock deployment cannot use. */
export function reportForeignKeys(d: FileDeployment, path: Path, report: Report): void {
  for (const key of openAiOnly) {
    if (d[key] !== undefined)
      report([...path, key], "must not be set with provider: bedrock; only provider: openai uses it");
  }
}

/**
 * Checks that every API key named in the configuration is set and can be sent. The keys themselves never become part of
 * the settings.
 * @throws ConfigError that names every missing or invalid key
 */
export function checkApiKeys({ models }: Pick<Settings, "models">, env: Environment): void {
  const problems = Object.values(models)
    .flatMap((model) => model.deployments)
    .flatMap(({ id, openai }) => {
      if (openai?.apiKeyEnv === undefined) return [];
      const key = readApiKey(openai, env);
      if (key === undefined) {
        return [
          `  ${nameOrMask(openai.apiKeyEnv)} is not set, but ${id} names it as apiKeyEnv. Set it to the key, or remove apiKeyEnv.`,
        ];
      }
      return /^[\x21-\x7e]+$/.test(key)
        ? []
        : [
            `  ${nameOrMask(openai.apiKeyEnv)} must hold printable ASCII characters without spaces; got other characters.`,
          ];
    });
  if (problems.length > 0) throw new ConfigError(["API keys are missing or invalid:", ...new Set(problems)].join("\n"));
}

/**
 * Returns the variable's name, or "A variable" if it may be a key in the wrong place. Names are upper case by
 * convention.
 */
function nameOrMask(name: string): string {
  return /^[A-Z_][A-Z0-9_]{0,63}$/.test(name) && !/^(AKIA|ASIA)[A-Z0-9]{12,}$/.test(name) ? name : "A variable";
}

/** Returns a deployment's API key from the environment, or undefined if it names none or the variable is empty. */
export function readApiKey({ apiKeyEnv }: OpenAiSettings, env: Environment): string | undefined {
  return apiKeyEnv === undefined ? undefined : env[apiKeyEnv]?.trim() || undefined;
}
