// Who asks: the signature or the bearer key that every request to AWS carries.
import type { IncomingMessage } from "node:http";
import { BedrockError } from "./errors.ts";

export interface Caller {
  /** From the signature's credential scope; a bearer key names none. */
  region?: string;
}

export interface Authenticator {
  /**
   * @param service the signing name, such as `bedrock`
   * @throws BedrockError as AWS refuses it
   */
  authenticate(request: IncomingMessage, body: Buffer, service: string): Caller;
}

/** Signatures are not verified, but there must be one, or a bearer key. */
export function createAuthenticator(): Authenticator {
  return {
    authenticate({ headers: { authorization } }) {
      if (!authorization || !/^(?:AWS4-HMAC-SHA256|Bearer) \S/.test(authorization)) {
        throw new BedrockError("MissingAuthenticationTokenException", "Missing Authentication Token");
      }
      const region = /Credential=[^/,]+\/\d+\/([^/,]+)\//.exec(authorization)?.[1];
      return region === undefined ? {} : { region };
    },
  };
}
