// Decides what answers: the configured providers, or the built-in simulator. A caller who expects real answers must
// never get synthetic text, so the simulator is chosen only when nothing suggests that Bedrock is configured.
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { defaultProvider } from "@aws-sdk/credential-provider-node";
import { isLoopback } from "../domain/networks.ts";
import { ConfigError, showValue } from "./config-problems.ts";
import { endpointIn } from "./endpoints.ts";
import { type Environment, readVariable } from "./environment.ts";

/** What decides whether the configured providers or the simulator answer. */
export interface ProviderQuestion {
  env: Environment;
  host: string;
  /** Whether a configuration file exists. */
  hasFile: boolean;
  /** Whether a deployment has an endpoint of its own. */
  hasEndpoint: boolean;
  /** Whether a Bedrock deployment has no profile of its own. If none does, AWS credentials are not searched for. */
  needsCredentials: boolean;
}

/**
 * Decides whether the deployments' own providers answer, or the simulator in place of all of them.
 * @throws ConfigError if Bedrock has to answer without credentials, or if the simulator must not be used
 */
export async function chooseProvider(question: ProviderQuestion): Promise<"configured" | "simulator"> {
  const { env, host, hasFile } = question;
  const forced = readVariable(env, "SLUICE_PROVIDER");
  if (forced !== undefined && forced !== "bedrock" && forced !== "simulator") {
    throw new ConfigError(`SLUICE_PROVIDER must be one of bedrock, simulator; got ${showValue(forced)}`);
  }
  const endpoint = question.hasEndpoint || endpointIn(env) !== undefined;
  const hasDatabase = readVariable(env, "MONGODB_URL") !== undefined;
  if (forced === "simulator") {
    if (hasDatabase) {
      throw new ConfigError(
        "SLUICE_PROVIDER=simulator answers with synthetic text, which must not reach a shared database. Unset SLUICE_PROVIDER or MONGODB_URL.",
      );
    }
    if (!isLoopback(host)) {
      throw new ConfigError(
        `SLUICE_PROVIDER=simulator answers with synthetic text, so HOST must be an address of this machine only; got ${host}. ` +
          "Set HOST to 127.0.0.1, or SLUICE_PROVIDER to bedrock.",
      );
    }
    if (endpoint) {
      throw new ConfigError(
        "SLUICE_PROVIDER=simulator uses the built-in simulator, but an endpoint is configured as well. Unset SLUICE_PROVIDER, " +
          "or remove the endpoint from the file, AWS_ENDPOINT_URL_BEDROCK_RUNTIME and AWS_ENDPOINT_URL.",
      );
    }
    return "simulator";
  }

  if (!question.needsCredentials) return "configured";
  const maySimulate = forced === undefined && !hasFile && !endpoint && !hasDatabase && isLoopback(host);
  const search = await findCredentials(env, maySimulate ? 1000 : 5000);
  if (search.found) return "configured";
  if (maySimulate && search.signs.length === 0) return "simulator";
  throw new ConfigError(missingCredentials(search, endpoint));
}

// ---------------------------------------------------------------- looking for credentials

interface Search {
  found: boolean;
  /** What suggests that credentials should exist: names of variables, and files. */
  signs: string[];
  /** Why none were found, in the SDK's words. */
  reason?: string;
}

const variablesThatTell = [
  "AWS_PROFILE",
  "AWS_ACCESS_KEY_ID",
  "AWS_SECRET_ACCESS_KEY",
  "AWS_SESSION_TOKEN",
  "AWS_ROLE_ARN",
  "AWS_WEB_IDENTITY_TOKEN_FILE",
  "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
  "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];

/** Matches the keys of a profile that lead to credentials. A profile that only names a Region is no sign of them. */
const profileKeys =
  /^\s*(aws_access_key_id|role_arn|sso_\w+|credential_process|credential_source|web_identity_token_file|login_session)\s*=/m;

/** Single sign-on, processes and roles may take a while. A start waits at most this long, in milliseconds. */
const chainTimeoutMs = 15_000;

/**
 * Asks the SDK's own chain, which reads the environment of this process. Without any sign of credentials, only the
 * metadata service of EC2 can provide them. Most machines have none, so the search then waits for `metadataTimeoutMs`
 * only.
 */
async function findCredentials(env: Environment, metadataTimeoutMs: number): Promise<Search> {
  if (env.AWS_BEARER_TOKEN_BEDROCK) return { found: true, signs: ["AWS_BEARER_TOKEN_BEDROCK"] };
  const signs = await findSigns(env);
  if (!env.AWS_PROFILE && env.AWS_ACCESS_KEY_ID && env.AWS_SECRET_ACCESS_KEY) return { found: true, signs };

  const timeoutMs = signs.length > 0 ? chainTimeoutMs : metadataTimeoutMs;
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    // The chain logs to the console what it prefers. The SDK logs it again at the first call.
    const quiet = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };
    await Promise.race([defaultProvider({ timeout: metadataTimeoutMs, maxRetries: 0, logger: quiet })(), timeout]);
    return { found: true, signs };
  } catch (error) {
    return { found: false, signs, reason: (error as Error).message };
  } finally {
    clearTimeout(timer);
  }
}

async function findSigns(env: Environment): Promise<string[]> {
  const signs = variablesThatTell.filter((name) => env[name]);
  const files = [
    env.AWS_SHARED_CREDENTIALS_FILE ?? join(homedir(), ".aws", "credentials"),
    env.AWS_CONFIG_FILE ?? join(homedir(), ".aws", "config"),
  ];
  for (const file of files) {
    const text = await readFile(file, "utf8").catch(() => "");
    if (profileKeys.test(text)) signs.push(file);
  }
  return signs;
}

function missingCredentials(search: Search, endpoint: boolean): string {
  const lines =
    search.signs.length > 0
      ? [`Found signs of AWS credentials (${search.signs.join(", ")}), but could not load any: ${search.reason}`]
      : ["No AWS credentials were found. Sluice cannot call Bedrock without them."];
  lines.push(
    "Provide credentials in any form that the AWS SDK supports:",
    "  - a Bedrock API key in AWS_BEARER_TOKEN_BEDROCK",
    "  - AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN)",
    "  - a profile in ~/.aws, selected by AWS_PROFILE; it may use single sign-on or a process",
    "  - a web identity (AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE), or the role of a container or an EC2 instance",
  );
  if (endpoint) {
    lines.push(
      "An endpoint is configured. A local simulator does not check signatures, so any values work:",
      "  AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local",
    );
  } else {
    lines.push(
      "To try Sluice without an account, set SLUICE_PROVIDER=simulator. It answers with synthetic text, on this machine only.",
    );
  }
  return lines.join("\n");
}
