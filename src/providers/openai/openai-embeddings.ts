// Embeddings in OpenAI's format: the body that a server gets, and the vectors in its answer.
import { type EmbeddingRequest, textsOf } from "../../domain/embedding-request.ts";
import { requireAll, vectorsAt } from "../vectors.ts";
import { isObject } from "./openai-answer.ts";

/** Returns the body of a request. `input_type` is a field of some servers, and is sent only if the caller set it. */
export function embeddingsBody(request: EmbeddingRequest, modelId: string): string {
  const { dimensions, inputType } = request.embeddings;
  return JSON.stringify({
    model: modelId,
    input: textsOf(request),
    encoding_format: "float",
    dimensions,
    input_type: inputType,
  });
}

/**
 * Returns the vectors in the order of the texts.
 * @param json the whole answer
 * @param data its parsed `data`, whose items name the index of their text
 * @throws ProviderError if there is not one vector for each text
 */
export function vectorsIn(json: string, data: readonly unknown[], request: EmbeddingRequest): string[] {
  const found = requireAll(vectorsAt(json, "embedding"), request);
  const ordered: string[] = [];
  for (const [i, item] of data.entries()) {
    const index = isObject(item) && typeof item.index === "number" ? item.index : i;
    ordered[index] = found[i]!;
  }
  return requireAll(Object.values(ordered), request);
}
