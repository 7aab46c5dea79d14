// What is specific to Amazon Bedrock deployments: their Region, and the credentials they are called with.
import { partsOf } from "./catalogue.ts";
import type { Path, Report } from "./config-problems.ts";
import type { FileDeployment } from "./config-schema.ts";
import { type ProviderPart, reportForeignKeys } from "./openai-deployment.ts";
import type { AccountSettings } from "./settings.ts";

/** Resolves the part of a Bedrock deployment that depends on its provider, and reports mistakes in its keys. */
export function resolveBedrock(d: FileDeployment, path: Path, report: Report): ProviderPart {
  const allowed = "an AWS Region such as us-east-1";
  const { region = "" } = d;
  if (d.region === undefined) report([...path, "region"], `is required: ${allowed}`);
  else if (!/^[a-z]{2,}(-[a-z]+)+-\d+$/.test(region)) {
    report([...path, "region"], `must be ${allowed}; got "${region}"`);
  }
  reportForeignKeys(d, path, report);
  const account = resolveAccount(d, path, report);
  return {
    id: `bedrock/${region}${account ? `@${account.label}` : ""}/${d.modelId}`,
    provider: "bedrock",
    region,
    baseModel: partsOf(d.baseModel ?? d.modelId).bare,
    ...(account && { account }),
    ...(d.listedAs !== undefined && { listedAs: d.listedAs }),
    ...(d.endpoint !== undefined && { endpoint: d.endpoint }),
  };
}

/**
 * Returns a deployment's account. Its label is `account`, or else the profile's name, or else the account number of the
 * role.
 */
function resolveAccount(d: FileDeployment, path: Path, report: Report): AccountSettings | undefined {
  const { profile, roleArn, externalId, account } = d;
  if (externalId !== undefined && roleArn === undefined) {
    report([...path, "externalId"], "must be set together with roleArn; got no roleArn");
  }
  const label = account ?? profile?.replace(/[^A-Za-z0-9._-]/g, "-") ?? roleArn?.split(":")[4];
  if (label === undefined) return undefined;
  return {
    label,
    ...(profile !== undefined && { profile }),
    ...(roleArn !== undefined && { roleArn }),
    ...(externalId !== undefined && { externalId }),
  };
}
