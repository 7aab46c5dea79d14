// Requests for embeddings: a canonical request whose only message has the texts. A model takes a bounded number of texts
// in one call, so a long list needs several calls.
import { type CanonicalRequest, type EmbeddingOptions, isNative, type JobRequest } from "./request.ts";

export type EmbeddingRequest = CanonicalRequest & { embeddings: EmbeddingOptions };

/** Whether a request asks for vectors. */
export function isEmbedding(request: JobRequest): request is EmbeddingRequest {
  return !isNative(request) && request.embeddings !== undefined;
}

/** Returns a request for the vectors of these texts. */
export function embeddingRequest(texts: readonly string[], options: Omit<EmbeddingOptions, "texts">): EmbeddingRequest {
  const content = texts.map((text) => ({ type: "text" as const, text }));
  return {
    messages: [{ role: "user", content }],
    parameters: { maxTokens: 0 },
    embeddings: { texts: texts.length, ...options },
  };
}

/** Returns the texts to embed. Empty once they are erased. */
export function textsOf({ messages }: EmbeddingRequest): string[] {
  return messages.flatMap(({ content }) => content.flatMap((block) => (block.type === "text" ? [block.text] : [])));
}

/**
 * Returns the request of one call.
 * @param from index of its first text
 * @param count maximum number of its texts
 */
export function callOf(request: EmbeddingRequest, from: number, count: number): EmbeddingRequest {
  const { texts: _, ...options } = request.embeddings;
  return embeddingRequest(textsOf(request).slice(from, from + count), options);
}

/**
 * Returns the most expensive of the calls that a request needs.
 * @param textsPerCall maximum number of texts in one call
 * @param cost returns the cost of one text
 */
export function largestCall(
  request: EmbeddingRequest,
  textsPerCall: number,
  cost: (text: string) => number,
): EmbeddingRequest {
  const { texts } = request.embeddings;
  if (texts <= textsPerCall) return request;
  const costs = textsOf(request).map(cost);
  const sums: number[] = [];
  for (const [i, own] of costs.entries()) {
    const call = Math.floor(i / textsPerCall);
    sums[call] = (sums[call] ?? 0) + own;
  }
  const largest = sums.indexOf(sums.reduce((a, b) => Math.max(a, b), 0));
  return callOf(request, largest * textsPerCall, textsPerCall);
}
