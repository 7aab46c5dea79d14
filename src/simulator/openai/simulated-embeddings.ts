// OpenAI's embeddings: reads the body, and formats vectors that depend on the text alone. Every model makes them here,
// because servers with OpenAI's API have models of any name.
import type { ModelCall } from "../bodies.ts";
import type { Dialect } from "../dialects.ts";
import { embeddingCallOf, vectorOf } from "../embeddings.ts";
import type { Json } from "../json.ts";
import { invalid } from "./openai-error-bodies.ts";

const defaultDimensions = 1_536;
const maxTexts = 2_048;

/** Reads the body. @throws OpenAiError with OpenAI's refusal */
export function readEmbeddings(body: Json): ModelCall & { dialect: Dialect } {
  const { model, dimensions = defaultDimensions, encoding_format: format = "float" } = body;
  const texts: unknown[] = Array.isArray(body.input) ? body.input : [body.input];
  if (texts.length === 0 || texts.length > maxTexts || texts.some((text) => typeof text !== "string" || text === "")) {
    throw invalid("'$.input' is invalid. Please check the API reference.", "input");
  }
  if (!Number.isInteger(dimensions) || (dimensions as number) < 1 || (dimensions as number) > 4_096) {
    throw invalid(`Invalid value for 'dimensions': ${String(dimensions)}.`, "dimensions");
  }
  const data = (texts as string[]).map((text, index) => {
    const vector = vectorOf(text, dimensions as number, true);
    const bytes = () => Buffer.from(Float32Array.from(vector).buffer).toString("base64");
    return { object: "embedding", index, embedding: format === "base64" ? bytes() : vector };
  });
  const call = embeddingCallOf(texts as string[]);
  const usage = { prompt_tokens: call.inputTokens, total_tokens: call.inputTokens };
  return {
    ...call,
    dialect: {
      body: ({ withUsage }) => ({ json: { object: "list", data, model, ...(withUsage && { usage }) }, headers: {} }),
      events: () => [],
      ending: () => [],
    },
  };
}
