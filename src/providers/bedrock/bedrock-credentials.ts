// Chooses the credentials of a deployment: those of the process, of a profile, or of a role assumed with either. Uses
// the SDK's own providers, which support single sign-on, processes and more.
//
// Files are read again for every new client (the SDK would cache them for the life of the process). So credentials that
// were renewed after a refusal are found without a restart.
import type { BedrockRuntimeClientConfig } from "@aws-sdk/client-bedrock-runtime";
import { defaultProvider } from "@aws-sdk/credential-provider-node";
import { fromIni, fromTemporaryCredentials } from "@aws-sdk/credential-providers";
import { redact } from "../redact.ts";

/** Account to call a deployment with. Default: the process's own credentials. */
export interface Account {
  /** Profile in the files of the AWS SDK. */
  profile?: string;
  /** Role to assume, with the profile's credentials or else those of the process. */
  roleArn?: string;
  externalId?: string;
}

/** Reports why there are no credentials to sign with. The message says what to do and contains no secret. */
export class CredentialsError extends Error {
  override readonly name = "CredentialsError";
  /** Whether the cause may pass by itself, such as a refused connection. */
  readonly passing: boolean;

  constructor(message: string, passing: boolean) {
    super(message);
    this.passing = passing;
  }
}

/** Options of an SDK client with which it signs as this account. */
export type ClientCredentials = Pick<BedrockRuntimeClientConfig, "credentials" | "authSchemePreference">;

type Provider = Extract<NonNullable<BedrockRuntimeClientConfig["credentials"]>, (...args: never[]) => unknown>;

/** Returns the options of an SDK client that signs as an account. */
export function credentialsFor({ profile, roleArn, externalId }: Account = {}): ClientCredentials {
  const isNamed = profile !== undefined || roleArn !== undefined;
  const source = (
    profile === undefined
      ? defaultProvider({ ignoreCache: true })
      : fromIni({ profile, ignoreCache: true, clientConfig: {} })
  ) as Provider;
  const from = explaining(source, (error) => noSource(profile, error));
  if (roleArn === undefined) return { credentials: from, ...(isNamed && signed) };
  const assume = fromTemporaryCredentials({
    masterCredentials: from,
    params: {
      RoleArn: roleArn,
      RoleSessionName: "sluice",
      ...(externalId !== undefined && { ExternalId: externalId }),
    },
  }) as Provider;
  return { credentials: explaining(assume, (error) => notAssumed(roleArn, error)), ...signed };
}

/** Without this, a key in AWS_BEARER_TOKEN_BEDROCK, which belongs to another account, would replace the signature. */
const signed = { authSchemePreference: ["sigv4"] };

function explaining(provider: Provider, explain: (error: SdkError) => string): Provider {
  return async (properties) => {
    try {
      return await provider(properties);
    } catch (error) {
      if (error instanceof CredentialsError) throw error;
      throw new CredentialsError(explain(error as SdkError), mayPass(error as SdkError));
    }
  };
}

type SdkError = Error & { code?: string; $metadata?: { httpStatusCode?: number } };

function mayPass({ code = "", $metadata }: SdkError): boolean {
  const status = $metadata?.httpStatusCode ?? 0;
  return status >= 500 || status === 429 || /^(ECONN|ETIMEDOUT|EPIPE|EAI_AGAIN|ENET|EHOST)/.test(code);
}

function noSource(profile: string | undefined, error: SdkError): string {
  if (profile === undefined) {
    return (
      "No AWS credentials were found. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile (AWS_PROFILE), a " +
      "role, or AWS_BEARER_TOKEN_BEDROCK."
    );
  }
  return (
    `The AWS profile "${profile}" provides no credentials (${redact(error.message)}). Check that ~/.aws/config or ` +
    `~/.aws/credentials defines it. If it uses single sign-on, run: aws sso login --profile ${profile}`
  );
}

function notAssumed(roleArn: string, error: SdkError): string {
  if (/^expiredtoken/i.test(error.name)) {
    return `The role ${roleArn} cannot be assumed, because the credentials for it have expired. Renew them.`;
  }
  const words = error.code ?? `${error.name}: ${redact(error.message)}`;
  return (
    `The role ${roleArn} cannot be assumed (${words}). Allow the credentials to call sts:AssumeRole on it, and check ` +
    "its trust policy and the deployment's externalId."
  );
}
