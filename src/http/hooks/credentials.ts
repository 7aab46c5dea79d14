// Finds the API key in the headers of a request. Anthropic's SDKs send it in a header of their own. AWS's SDKs cannot send a header of their user's choice, but they send
// the session token of their credentials in the clear. Their signature proves nothing here, because Sluice does not know
// the secret that it was made with.
import type { FastifyRequest } from "fastify";
import { looksLikeApiKey } from "../../domain/api-key.ts";
import { isAnthropicCall } from "../../wire/anthropic/anthropic-errors.ts";
import { isBedrockPath } from "../../wire/bedrock/bedrock-errors.ts";

/**
 * Returns the Authorization header that a request sends, or sends in the form of its API. Ignores everything that is no
 * key of Sluice, such as signatures and real session tokens.
 */
export function authorizationOf(request: Pick<FastifyRequest, "url" | "headers">): string | undefined {
  const { url, headers } = request;
  const { authorization } = headers;
  if (isAnthropicCall(request)) {
    const key = headers["x-api-key"];
    // Some programs always send the header, with a key of Anthropic's or a placeholder.
    const isUsed = typeof key === "string" && (authorization === undefined || looksLikeApiKey(key));
    return isUsed ? `Bearer ${key}` : authorization;
  }
  if (!isBedrockPath(url) || /^bearer /i.test(authorization ?? "")) return authorization;
  const token = headers["x-amz-security-token"];
  return typeof token === "string" && looksLikeApiKey(token) ? `Bearer ${token}` : undefined;
}
