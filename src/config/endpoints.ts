// Endpoints that replace AWS's own addresses: from the file, and from the environment variables that the SDK reads
// itself.
import { ConfigError, showValue } from "./config-problems.ts";
import type { Environment } from "./environment.ts";

/** Form of an endpoint: a pattern, and its description in words. */
export const endpointForm = {
  pattern: "^https?://[^\\s@/?#]+(/[^\\s?#]*)?$",
  allowed: "an http:// or https:// address without a user name, such as http://127.0.0.1:9000",
};

const variables = ["AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL"] as const;

/** Returns the address for Bedrock deployments without an endpoint of their own, or undefined for AWS's address. */
export function endpointIn(env: Environment): string | undefined {
  return variables.map((name) => env[name]).find(Boolean);
}

/**
 * Checks the addresses in the environment. With an invalid one every call would fail, and no message would say why.
 * @throws ConfigError if a variable holds no valid address
 */
export function checkEndpoints(env: Environment): void {
  for (const name of variables) {
    const value = env[name];
    if (!value || (new RegExp(endpointForm.pattern).test(value) && URL.canParse(value))) continue;
    throw new ConfigError(`${name} must be ${endpointForm.allowed}; got ${showValue(value)}`);
  }
}
