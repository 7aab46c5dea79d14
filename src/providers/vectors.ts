// Finds vectors in the JSON of an answer and keeps them as the texts that the provider wrote. Parsing and printing a
// number could change its digits, and takes ten times as long.
import type { EmbeddingRequest } from "../domain/embedding-request.ts";
import { ProviderError } from "./provider.ts";

/** A list of numbers. */
const vector = /\[[-+\d.eE,\s]+\]/y;
/** The beginning of a list of lists. */
const list = /\[\s*(?=\[)/y;

/**
 * Returns the vectors that follow a key, wherever it occurs: one, or a list of them. Quotes inside a string are escaped,
 * so no text of the answer looks like the key.
 * @param json valid JSON
 */
export function vectorsAt(json: string, key: "embedding" | "embeddings" | "float"): string[] {
  const vectors: string[] = [];
  const places = new RegExp(`"${key}"\\s*:\\s*`, "g");
  for (let place = places.exec(json); place; place = places.exec(json)) {
    list.lastIndex = places.lastIndex;
    const isList = list.test(json);
    let next = isList ? list.lastIndex : places.lastIndex;
    for (;;) {
      vector.lastIndex = next;
      const found = vector.exec(json)?.[0];
      if (found === undefined) break;
      vectors.push(found);
      next += found.length;
      while (/[\s,]/.test(json[next] ?? "")) next++;
      if (!isList) break;
    }
    places.lastIndex = next;
  }
  return vectors;
}

/**
 * Returns the vectors if there is one for each text.
 * @throws ProviderError otherwise
 */
export function requireAll(vectors: string[], { embeddings: { texts } }: EmbeddingRequest): string[] {
  if (vectors.length === texts) return vectors;
  const message = `The provider answered ${texts} texts with ${vectors.length} vectors.`;
  throw new ProviderError({ kind: "transient", code: "malformed_output", message, maybeBilled: true });
}
