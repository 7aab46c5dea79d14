// Bounds the output of a native request: the tokens that quotas reserve for its answer. It only reads the body.
import type { NativeCall } from "../../domain/native-request.ts";

/**
 * Where the bodies of InvokeModel have their limit, by the beginning of the model's ID; the first match counts. A name
 * that the family does not know limits nothing.
 */
const invokeLimits: readonly (readonly [prefix: string, ...places: string[]])[] = [
  ["anthropic.", "max_tokens", "max_tokens_to_sample"],
  ["meta.", "max_gen_len"],
  ["amazon.nova", "inferenceConfig.max_new_tokens", "inferenceConfig.maxTokens"],
  ["amazon.titan", "textGenerationConfig.maxTokenCount"],
  ["ai21.", "max_tokens", "maxTokens"],
  // Mistral, gpt-oss, Qwen, DeepSeek, Cohere and others.
  ["", "max_tokens", "max_completion_tokens"],
];
/** Where requests ask for several answers, each as long as the limit. */
const answerCounts = ["n", "num_generations", "numResults"];
/** Models whose answers have no tokens: embeddings, and orders of documents. */
const withoutOutput = /embed|rerank/;

/**
 * Returns the tokens to reserve for the output: the body's limit, or the model's maximum if the body has none. A budget
 * for thinking counts if it is higher, because thinking between tool calls may exceed the limit.
 * @param body the parsed body
 * @param baseModel ID of the foundation model
 * @param maximum the model's maximum, in tokens
 */
export function nativeOutput(
  operation: NativeCall["operation"],
  body: object,
  baseModel: string,
  maximum: number,
): number {
  if (withoutOutput.test(baseModel)) return 0;
  const isConverse = operation === "converse";
  const [, ...places] = isConverse
    ? ["", "inferenceConfig.maxTokens"]
    : invokeLimits.find(([prefix]) => baseModel.startsWith(prefix))!;
  const limits = places.flatMap((place) => countAt(body, place) ?? []);
  const thinking = countAt(body, `${isConverse ? "additionalModelRequestFields." : ""}thinking.budget_tokens`) ?? 0;
  const answers = Math.max(1, ...(isConverse ? [] : answerCounts.flatMap((place) => countAt(body, place) ?? [])));
  const limit = limits.length === 0 ? maximum : Math.max(...limits);
  return Math.max(limit, thinking) * answers;
}

/** Returns the whole number of tokens at a place, or undefined if there is no positive number. */
function countAt(body: object, place: string): number | undefined {
  const value = place.split(".").reduce<unknown>((at, key) => (isObject(at) ? at[key] : undefined), body);
  return typeof value === "number" && value > 0 && value < Number.MAX_SAFE_INTEGER ? Math.ceil(value) : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
