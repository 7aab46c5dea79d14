// Embeddings of Titan and Cohere: their bodies, and vectors that depend on the text alone.

import { invalid } from "./aws-errors.ts";
import type { ModelCall } from "./bodies.ts";
import type { Dialect } from "./dialects.ts";
import { missingKeys, parseNative, refuseProblems, textProblems, unknownKeys } from "./native-fields.ts";
import { randomNumbers } from "./random.ts";
import type { CalledModel } from "./simulated-models.ts";
import { countTokens } from "./text.ts";

/** A call and the format of its answer. */
export interface EmbeddingCall {
  call: ModelCall;
  dialect: Dialect;
}

/** Reads the body of an embedding model. @throws BedrockError with Bedrock's refusal */
export function readEmbedding(body: string, model: CalledModel): EmbeddingCall {
  return model.embedding === "titan" ? readTitan(body, model) : readCohere(body, model);
}

const titanDimensions = [256, 512, 1_024];

function readTitan(body: string, model: CalledModel): EmbeddingCall {
  const request = parseNative(body);
  const { inputText, dimensions = 1_024, normalize = true, embeddingTypes = ["float"] } = request;
  refuseProblems([
    ...unknownKeys(request, ["inputText", "dimensions", "normalize", "embeddingTypes"]),
    ...missingKeys(request, ["inputText"]),
    ...textProblems("inputText", inputText),
    ...(titanDimensions.includes(dimensions as number)
      ? []
      : [`#/dimensions: ${String(dimensions)} is not a valid enum value`]),
  ]);
  const text = inputText as string;
  const call = embeddingCallOf([text]);
  if (call.inputTokens > model.contextTokens) {
    const words = `Max input tokens: ${model.contextTokens}, request input token count: ${call.inputTokens}`;
    throw invalid(`400 Bad Request: Too many input tokens. ${words}`);
  }
  const vector = vectorOf(text, dimensions as number, normalize !== false);
  const types = Array.isArray(embeddingTypes) ? embeddingTypes : ["float"];
  const byType = {
    ...(types.includes("float") && { float: vector }),
    ...(types.includes("binary") && { binary: vector.map((value) => (value > 0 ? 1 : 0)) }),
  };
  const embedding = types.includes("float") ? { embedding: vector } : {};
  return { call, dialect: bodyOf({ ...embedding, embeddingsByType: byType, inputTextTokenCount: call.inputTokens }) };
}

const cohereKeys = [
  "texts",
  "images",
  "inputs",
  "input_type",
  "truncate",
  "embedding_types",
  "output_dimension",
  "max_tokens",
];
const inputTypes = ["search_document", "search_query", "classification", "clustering", "image"];
const maxCohereTexts = 96;
/** Maximum length of a text for version 3, in characters. */
const maxCohereLength = 2_048;

function readCohere(body: string, { id }: CalledModel): EmbeddingCall {
  const request = parseNative(body);
  const isVersion3 = /embed-[a-z]+-v3/.test(id);
  const { texts = [], input_type: inputType, embedding_types: types, output_dimension: dimensions } = request;
  const list: unknown[] = Array.isArray(texts) ? texts : [texts];
  refuseProblems([
    ...unknownKeys(request, cohereKeys),
    ...missingKeys(request, isVersion3 ? ["texts", "input_type"] : ["input_type"]),
    ...(inputType === undefined || inputTypes.includes(inputType as string)
      ? []
      : [`#/input_type: ${String(inputType)} is not a valid enum value`]),
    ...(list.length > maxCohereTexts
      ? [`#/texts: expected maximum item count: ${maxCohereTexts}, found: ${list.length}`]
      : []),
    ...list.flatMap((text, i) => textProblems(`texts/${i}`, text)),
    ...list.flatMap((text, i) =>
      isVersion3 && typeof text === "string" && text.length > maxCohereLength
        ? [`#/texts/${i}: expected maxLength: ${maxCohereLength}, actual: ${text.length}`]
        : [],
    ),
  ]);
  const all = list as string[];
  const length = isVersion3 ? 1_024 : typeof dimensions === "number" ? dimensions : 1_536;
  const vectors = all.map((text) => vectorOf(text, length, true));
  const base = { id: `synthetic-${all.length}`, texts: all };
  const json = Array.isArray(types)
    ? { ...base, embeddings: byType(vectors, types), response_type: "embeddings_by_type" }
    : { ...base, embeddings: vectors, response_type: "embeddings_floats" };
  return { call: embeddingCallOf(all), dialect: bodyOf(json) };
}

function byType(vectors: number[][], types: unknown[]): Record<string, number[][]> {
  const whole = (value: number) => Math.max(-128, Math.min(127, Math.round(value * 1_000)));
  return {
    ...(types.includes("float") && { float: vectors }),
    ...(types.includes("int8") && { int8: vectors.map((vector) => vector.map(whole)) }),
    ...(types.includes("uint8") && { uint8: vectors.map((vector) => vector.map((value) => whole(value) + 128)) }),
  };
}

/** Returns the call of some texts, which generates nothing. */
export function embeddingCallOf(texts: string[]): ModelCall {
  const input = texts.join("\n");
  return { prompt: texts.at(-1) ?? "", input, inputTokens: countTokens(input), maxTokens: 0, stopSequences: [] };
}

/** Returns the vector of a text. It is the same on every run, and differs between texts. */
export function vectorOf(text: string, length: number, normalize: boolean): number[] {
  const random = randomNumbers(`embedding ${text}`);
  const vector = Array.from({ length }, () => 2 * random() - 1);
  const norm = normalize ? Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0)) : 1;
  return vector.map((value) => Math.fround(value / norm));
}

/** Returns a dialect that has one body and no stream. */
function bodyOf(json: object): Dialect {
  return { body: () => ({ json, headers: {} }), events: () => [], ending: () => [] };
}
