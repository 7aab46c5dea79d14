// Decides who answers: the configured providers, or the built-in simulator. Synthetic text must never end up where somebody
// expects real answers, so the simulator is chosen only where nothing at all speaks for Bedrock.
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { defaultProvider } from "@aws-sdk/credential-provider-node";
import { isLoopback } from "../domain/networks.ts";
import { ConfigError, showValue } from "./config-problems.ts";
import { endpointIn } from "./endpoints.ts";
import { type Environment, readVariable } from "./environment.ts";

export interface ProviderQuestion {
  env: Environment;
  host: string;
  /** Whether there is a configuration file. */
  hasFile: boolean;
  /** Whether a deployment has an endpoint of its own. */
  hasEndpoint: boolean;
  /** Whether a deployment is Bedrock's, and has no profile of its own; without one nobody looks for AWS credentials. */
  needsCredentials: boolean;
}

/**
 * Whether the providers that the deployments name answer, or the simulator in place of all of them.
 * @throws ConfigError if Bedrock is to answer and there are no credentials, or the simulator must not be used.
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
  /** What suggests that there should be credentials. */
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

/** Keys of a profile that lead to credentials. A profile that only names a Region is no sign. */
const profileKeys =
  /^\s*(aws_access_key_id|role_arn|sso_\w+|credential_process|credential_source|web_identity_token_file|login_session)\s*=/m;

/** Single sign-on, processes and roles may take a while; longer than this nobody waits for a start. */
const chainTimeoutMs = 15_000;

/**
 * Asks the SDK's own chain, which reads the environment of this process. Where nothing else can be behind it than the
 * metadata service of EC2, which is not there on most machines, it waits for `metadataTimeoutMs` only.
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
    // The chain says on the console what it prefers; the SDK does so again when it makes the first call.
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
