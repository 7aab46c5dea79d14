// A request for embeddings as a call of InvokeModel, with the body of the model's family. It is a native call whose body
// Sluice writes.
import { type EmbeddingRequest, textsOf } from "../../domain/embedding-request.ts";
import { ProviderError } from "../provider.ts";
import { requireAll, vectorsAt } from "../vectors.ts";
import type { Listeners, ModelCall } from "./model-call.ts";
import { nativeCall } from "./native-call.ts";

/** What is known about an embedding model of Bedrock. */
export interface EmbeddingModel {
  body?: "titan" | "cohere";
  dimensions?: readonly number[];
  inputTypes?: readonly string[];
}

/**
 * Creates the call of a request.
 * @param maxAnswerBytes as in `ProviderCall`
 * @throws ProviderError if the format of the model's bodies is unknown
 */
export function embeddingCall(
  request: EmbeddingRequest,
  model: EmbeddingModel | undefined,
  listeners: Listeners,
  maxAnswerBytes?: number,
): ModelCall {
  const { parameters } = request;
  const body = JSON.stringify(bodyOf(request, model));
  const call = nativeCall(
    { native: { operation: "invoke", streamed: false, body }, parameters },
    listeners,
    maxAnswerBytes,
  );
  return {
    ...call,
    get isComplete() {
      return call.isComplete;
    },
    answer(requestId) {
      const { native, ...answer } = call.answer(requestId);
      return { ...answer, vectors: requireAll(vectorsIn(native?.body ?? ""), request) };
    },
  };
}

function bodyOf(request: EmbeddingRequest, model: EmbeddingModel | undefined): object {
  const texts = textsOf(request);
  const { dimensions, inputType } = request.embeddings;
  // Models with vectors of only one length have no such field.
  const length = model?.dimensions?.length === 1 ? undefined : dimensions;
  switch (model?.body) {
    case "titan":
      return { inputText: texts[0], dimensions: length };
    case "cohere":
      return { texts, input_type: inputType ?? model.inputTypes?.[0] ?? "search_document", output_dimension: length };
    case undefined:
      throw new ProviderError({
        kind: "permanent",
        code: "provider_rejected",
        message: "The model makes no embeddings that Sluice knows.",
        maybeBilled: false,
      });
  }
}

/** Titan has one vector, which it repeats by its type. Cohere has a list, or one by type. */
function vectorsIn(body: string): string[] {
  const [vector] = vectorsAt(body, "embedding");
  if (vector !== undefined) return [vector];
  const vectors = vectorsAt(body, "embeddings");
  return vectors.length > 0 ? vectors : vectorsAt(body, "float");
}
