// Who asks: the signature or the bearer key that every request to AWS carries. Anybody's will do, unless the options
// name those that there are.
import type { IncomingMessage } from "node:http";
import { BedrockError } from "./aws-errors.ts";
import { readClaim, verifySignature } from "./signatures.ts";

/** Keys that the simulator knows. */
export interface SimulatedCredentials {
  accessKeyId: string;
  secretAccessKey: string;
  /** Those of a role or a session have one, and every request must carry it. */
  sessionToken?: string;
  /** Whether the session has ended: every request is refused with ExpiredTokenException. */
  expired?: boolean;
  /** Whose quotas their calls draw on. Default: all the same account's. */
  account?: string;
}

export interface Caller {
  /** From the signature's credential scope; a bearer key names none. */
  region?: string;
  /** As the credentials have it, if they have it. */
  account?: string;
}

export interface Authenticator {
  /**
   * @param service the signing name, such as `bedrock`
   * @throws BedrockError as AWS refuses it
   */
  authenticate(request: IncomingMessage, body: Buffer, service: string): Caller;
  /** Makes credentials known, or replaces those of the same access key. */
  set(credentials: SimulatedCredentials): void;
}

export interface AuthenticationOptions {
  /** Only what these have signed is accepted. Absent: signatures are not verified. */
  verifySignatures?: SimulatedCredentials | readonly SimulatedCredentials[];
  /** Only these are accepted. Absent: any, but none where signatures are verified. */
  bearerKeys?: readonly string[];
}

const unknownToken = "The security token included in the request is invalid.";

/** @param wallClock ms since the Unix epoch, to compare the times of signatures with */
export function createAuthenticator(options: AuthenticationOptions, wallClock: () => number): Authenticator {
  const { verifySignatures, bearerKeys = verifySignatures && [] } = options;
  const known = new Map([verifySignatures ?? []].flat().map((credentials) => [credentials.accessKeyId, credentials]));

  const checkSigned = (request: IncomingMessage, authorization: string, body: Buffer, service: string): Caller => {
    const claim = readClaim(authorization);
    const credentials = known.get(claim.accessKeyId);
    if (verifySignatures) {
      const token = request.headers["x-amz-security-token"];
      if (!credentials || token !== credentials.sessionToken) {
        throw new BedrockError("UnrecognizedClientException", unknownToken);
      }
      if (credentials.expired) {
        throw new BedrockError("ExpiredTokenException", "The security token included in the request is expired");
      }
      const { method = "", url = "", rawHeaders } = request;
      verifySignature({ method, url, rawHeaders, body }, claim, credentials.secretAccessKey, service, wallClock());
    }
    return { region: claim.region, ...(credentials?.account !== undefined && { account: credentials.account }) };
  };

  return {
    authenticate(request, body, service) {
      const { authorization = "" } = request.headers;
      if (/^AWS4-HMAC-SHA256 \S/.test(authorization)) return checkSigned(request, authorization, body, service);
      const bearerKey = /^Bearer (\S.*)/.exec(authorization)?.[1];
      if (bearerKey === undefined) {
        throw new BedrockError("MissingAuthenticationTokenException", "Missing Authentication Token");
      }
      if (bearerKeys && !bearerKeys.includes(bearerKey)) {
        throw new BedrockError(
          "AccessDeniedException",
          "Authentication failed: Please make sure your API Key is valid.",
        );
      }
      return {};
    },
    set(credentials) {
      known.set(credentials.accessKeyId, credentials);
    },
  };
}
