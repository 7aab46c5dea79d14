// Cache points as a model takes them. They are hints: what a model does not take is left out, and no request fails for it.
import type { CachePoint, CanonicalRequest, ContentBlock } from "../../domain/request.ts";

/** Bedrock takes no more in one request. */
const maxPoints = 4;

/**
 * The request with the cache points that the model takes: none where it has no cache, five minutes where it keeps nothing
 * for an hour, the last four, and none for an hour behind one for five minutes.
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
