// Addresses and signs requests for one deployment. The AWS SDK finds the address (environment, profile, FIPS, dual
// stack), the credentials and their renewal; this file only applies what it found.
import {
  BedrockRuntimeClient,
  type BedrockRuntimeClientConfig,
  ConverseCommand,
} from "@aws-sdk/client-bedrock-runtime";
import { Sha256 } from "@smithy/core/checksum";
import { getEndpointFromInstructions, toEndpointV1 } from "@smithy/core/endpoints";
import { HttpRequest } from "@smithy/core/protocols";
import type { NodeHttpHandler } from "@smithy/node-http-handler";
import { SignatureV4 } from "@smithy/signature-v4";
import type { ClientCredentials } from "./bedrock-credentials.ts";

/** A request before it has an address and a signature. */
export interface UnsignedRequest {
  /** Path without that of the endpoint, percent-encoded. */
  path: string;
  /** Headers by lower-case names. */
  headers: Record<string, string>;
  body: Buffer;
}

/** Options of a signer. */
export interface SignerOptions extends ClientCredentials {
  region: string;
  endpoint?: BedrockRuntimeClientConfig["endpoint"];
  /** Prevents the SDK's client from creating a transport of its own. */
  transport: NodeHttpHandler;
}

/**
 * Returns a function that addresses and signs a request. What it finds is kept for the next requests, and credentials are
 * renewed before they expire.
 * @throws CredentialsError from the returned function, if there are no credentials
 */
export function createSigner({ transport, ...options }: SignerOptions) {
  // Only its resolved configuration is used. It sends nothing.
  const { config } = new BedrockRuntimeClient({ ...options, requestHandler: transport });
  let address: Promise<ReturnType<typeof toEndpointV1>> | undefined;
  let isBearer: Promise<boolean> | undefined;
  const signer = new SignatureV4({
    service: "bedrock",
    region: config.region,
    credentials: config.credentials,
    sha256: Sha256,
  });

  /** @param now current time by AWS's clock, in milliseconds since the Unix epoch */
  return async ({ path, headers, body }: UnsignedRequest, now: number): Promise<HttpRequest> => {
    address ??= getEndpointFromInstructions({}, ConverseCommand, config).then(toEndpointV1);
    const { protocol, hostname, port, path: base, query } = await address;
    const request = new HttpRequest({
      method: "POST",
      protocol,
      hostname,
      ...(port !== undefined && { port }),
      path: base.replace(/\/$/, "") + path,
      ...(query && { query }),
      headers: {
        ...headers,
        host: port === undefined ? hostname : `${hostname}:${port}`,
        "content-length": String(body.length),
        "user-agent": "sluice",
      },
      body,
    });
    isBearer ??= config.authSchemePreference().then(prefersBearer);
    if (!(await isBearer)) return (await signer.sign(request, { signingDate: new Date(now) })) as HttpRequest;
    request.headers.authorization = `Bearer ${await bearerKey(config)}`;
    return request;
  };
}

/** Whether an API key is used in place of credentials. The SDK prefers it if AWS_BEARER_TOKEN_BEDROCK is set. */
function prefersBearer(schemes: string[]): boolean {
  return schemes.find((scheme) => scheme === "sigv4" || scheme === "httpBearerAuth") === "httpBearerAuth";
}

async function bearerKey({ httpAuthSchemes }: BedrockRuntimeClient["config"]): Promise<string> {
  const scheme = httpAuthSchemes.find(({ schemeId }) => schemeId === "smithy.api#httpBearerAuth")!;
  const identify = scheme.identityProvider({ getIdentityProvider: () => undefined })!;
  const { token } = (await identify()) as { token: string };
  return token;
}
