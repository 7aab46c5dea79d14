// Addresses that stand in the place of AWS's own: in the file, and in the environment, where the SDK looks by itself.
import { ConfigError, showValue } from "./config-problems.ts";
import type { Environment } from "./environment.ts";

export const endpointForm = {
  pattern: "^https?://[^\\s@/?#]+(/[^\\s?#]*)?$",
  allowed: "an http:// or https:// address without a user name, such as http://127.0.0.1:9000",
};

const variables = ["AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL"] as const;

/** The address that Bedrock's deployments without an endpoint of their own are called at, if it is not AWS's. */
export function endpointIn(env: Environment): string | undefined {
  return variables.map((name) => env[name]).find(Boolean);
}

/** @throws ConfigError for one that is no address: every call would fail, and no message would say why. */
export function checkEndpoints(env: Environment): void {
  for (const name of variables) {
    const value = env[name];
    if (!value || (new RegExp(endpointForm.pattern).test(value) && URL.canParse(value))) continue;
    throw new ConfigError(`${name} must be ${endpointForm.allowed}; got ${showValue(value)}`);
  }
}
