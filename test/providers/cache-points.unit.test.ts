// Which cache points are sent to a Bedrock model.
import { expect, test } from "vitest";
import type { CachePoint, CanonicalRequest } from "../../src/domain/request.ts";
import { withPossibleCache } from "../../src/providers/bedrock/cache-points.ts";

const hour = { ttl: "1h" as const };

/** A request with a cache point after the system text and after each of the texts. */
function withPoints(...[first, ...more]: CachePoint[]): CanonicalRequest {
  const content = more.flatMap((cache, i) => [
    { type: "text" as const, text: String(i) },
    { type: "cache_point" as const, cache },
  ]);
  return {
    system: "Be brief.",
    ...(first && { systemCachePoint: first }),
    messages: [{ role: "user", content: [...content, { type: "text", text: "?" }] }],
    parameters: { maxTokens: 1 },
  };
}

function points({ systemCachePoint, messages }: CanonicalRequest): CachePoint[] {
  const rest = messages.flatMap(({ content }) =>
    content.flatMap((block) => (block.type === "cache_point" ? [block.cache] : [])),
  );
  return [...(systemCachePoint ? [systemCachePoint] : []), ...rest];
}

test.each<[string, "none" | "5m" | "1h" | undefined, CachePoint[], CachePoint[]]>([
  ["all of them where nothing is known", undefined, [hour, {}], [hour, {}]],
  ["none where there is no cache", "none", [hour, {}, {}], []],
  ["five minutes where nothing is kept for an hour", "5m", [hour, hour], [{}, {}]],
  ["an hour only before five minutes", "1h", [hour, {}, hour], [hour, {}, {}]],
  ["the last four", "1h", [hour, hour, {}, {}, {}, { ttl: "5m" }], [{}, {}, {}, { ttl: "5m" }]],
])("%s", (_, promptCache, given, expected) => {
  const request = withPoints(...given);
  const before = structuredClone(request);
  expect(points(withPossibleCache(request, promptCache))).toEqual(expected);
  expect(request).toEqual(before);
});

test("a request without cache points stays as it is", () => {
  const request = withPoints();
  expect(withPossibleCache(request, "none")).toBe(request);
});
