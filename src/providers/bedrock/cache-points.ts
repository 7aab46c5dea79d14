// Adapts cache points to a model. They are hints: points that the model does not accept are removed, and no request
// fails because of them.
import type { CachePoint, CanonicalRequest, ContentBlock } from "../../domain/request.ts";

/** Maximum number of cache points that Bedrock accepts in one request. */
const maxPoints = 4;

/**
 * Returns the request with only the cache points that the model accepts. Removes all if it has no cache, and all but
 * the last four. Shortens an hour to five minutes if the model does not keep entries for an hour, or after a point of
 * five minutes.
 */
export function withPossibleCache(
  request: CanonicalRequest,
  promptCache: "none" | "5m" | "1h" | undefined,
): CanonicalRequest {
  const count = countPoints(request);
  if (count === 0) return request;
  let toDrop = promptCache === "none" ? count : Math.max(0, count - maxPoints);
  let hourAllowed = promptCache !== "5m";
  const possible = (cache: CachePoint): CachePoint | undefined => {
    if (toDrop > 0) {
      toDrop--;
      return undefined;
    }
    if (cache.ttl === "1h" && !hourAllowed) return {};
    hourAllowed &&= cache.ttl === "1h";
    return cache;
  };
  const { systemCachePoint, messages, ...same } = request;
  const first = systemCachePoint && possible(systemCachePoint);
  return {
    ...same,
    ...(first && { systemCachePoint: first }),
    messages: messages.map(({ role, content }) => ({
      role,
      content: content.flatMap((block): ContentBlock[] => {
        if (block.type !== "cache_point") return [block];
        const cache = possible(block.cache);
        return cache ? [{ ...block, cache }] : [];
      }),
    })),
  };
}

function countPoints({ systemCachePoint, messages }: CanonicalRequest): number {
  const inMessages = messages.flatMap(({ content }) => content.filter(({ type }) => type === "cache_point"));
  return inMessages.length + (systemCachePoint ? 1 : 0);
}
