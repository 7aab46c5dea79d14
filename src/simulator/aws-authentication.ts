// Authenticates requests by their signature or bearer key, which every request to AWS carries. Accepts any, unless the
// options list the valid ones.
import type { IncomingMessage } from "node:http";
import { BedrockError } from "./aws-errors.ts";
import { readAuthorization, verifySignature } from "./signatures.ts";

/** Credentials that the simulator accepts. */
export interface SimulatedCredentials {
  accessKeyId: string;
  secretAccessKey: string;
  /** Session token of a role or a session. Every request must carry it. */
  sessionToken?: string;
  /** Whether the session has expired. Then every request is refused with ExpiredTokenException. */
  expired?: boolean;
  /** Account whose quotas the calls use. Default: the same account for all. */
  account?: string;
}

/** The caller of a request. */
export interface Caller {
  /** Region from the signature's credential scope. A bearer key names none. */
  region?: string;
  /** Account of the credentials, if they name one. */
  account?: string;
}

/** Authenticates requests. */
export interface Authenticator {
  /**
   * Returns the caller of a request.
   * @param service signing name, such as `bedrock`
   * @throws BedrockError with AWS's refusal
   */
  authenticate(request: IncomingMessage, body: Buffer, service: string): Caller;
  /** Adds credentials, or replaces those of the same access key. */
  set(credentials: SimulatedCredentials): void;
}

/** Credentials that the simulator requires. */
export interface AuthenticationOptions {
  /** The only credentials whose signatures are accepted. Absent: signatures are not verified. */
  verifySignatures?: SimulatedCredentials | readonly SimulatedCredentials[];
  /** The only bearer keys that are accepted. Absent: any, but none if signatures are verified. */
  bearerKeys?: readonly string[];
}

const unknownToken = "The security token included in the request is invalid.";

/**
 * Creates an authenticator.
 * @param wallClock returns milliseconds since the Unix epoch, to compare the times of signatures with
 */
export function createAuthenticator(options: AuthenticationOptions, wallClock: () => number): Authenticator {
  const { verifySignatures, bearerKeys = verifySignatures && [] } = options;
  const known = new Map([verifySignatures ?? []].flat().map((credentials) => [credentials.accessKeyId, credentials]));

  const checkSigned = (request: IncomingMessage, authorization: string, body: Buffer, service: string): Caller => {
    const claims = readAuthorization(authorization);
    const credentials = known.get(claims.accessKeyId);
    if (verifySignatures) {
      const token = request.headers["x-amz-security-token"];
      if (!credentials || token !== credentials.sessionToken) {
        throw new BedrockError("UnrecognizedClientException", unknownToken);
      }
      if (credentials.expired) {
        throw new BedrockError("ExpiredTokenException", "The security token included in the request is expired");
      }
      const { method = "", url = "", rawHeaders } = request;
      verifySignature({ method, url, rawHeaders, body }, claims, credentials.secretAccessKey, service, wallClock());
    }
    return { region: claims.region, ...(credentials?.account !== undefined && { account: credentials.account }) };
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
