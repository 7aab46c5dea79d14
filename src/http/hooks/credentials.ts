// Finds the API key in the headers of a request. AWS's SDKs cannot send a header of their user's choice, but they send
// the session token of their credentials in the clear. Their signature proves nothing here, because Sluice does not know
// the secret that it was made with.
import type { FastifyRequest } from "fastify";
import { looksLikeApiKey } from "../../domain/api-key.ts";
import { isBedrockPath } from "../../wire/bedrock/bedrock-errors.ts";

/**
 * Returns the Authorization header that a request sends, or sends in the form of its API. Ignores everything that is no
 * key of Sluice, such as signatures and real session tokens.
 */
export function authorizationOf({ url, headers }: Pick<FastifyRequest, "url" | "headers">): string | undefined {
  const { authorization } = headers;
  if (!isBedrockPath(url) || /^bearer /i.test(authorization ?? "")) return authorization;
  const token = headers["x-amz-security-token"];
  return typeof token === "string" && looksLikeApiKey(token) ? `Bearer ${token}` : undefined;
}
