// Converts the vectors of a job to OpenAI's list of embeddings.
import type { JobHead, Outcome } from "../../domain/job.ts";
import { JsonText } from "../../domain/json-text.ts";
import type { EmbeddingOptions } from "../../domain/request.ts";

/**
 * Returns the list of embeddings of a completed job. Print it with `printJson`, which keeps the provider's digits.
 * @param format how each vector is printed: as numbers, or as their float32 values in base64, lowest byte first
 */
export function embeddingsOf(job: JobHead, outcome: Outcome, format: EmbeddingOptions["format"]) {
  const { vectors = [], usage } = outcome;
  const tokens = usage?.input ?? 0;
  return {
    object: "list" as const,
    data: vectors.map((vector, index) => ({
      object: "embedding" as const,
      index,
      embedding: format === "base64" ? base64Of(vector) : new JsonText(vector),
    })),
    model: outcome.model ?? job.model,
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  };
}

function base64Of(vector: string): string {
  const numbers = JSON.parse(vector) as number[];
  const bytes = Buffer.allocUnsafe(numbers.length * 4);
  for (const [i, number] of numbers.entries()) bytes.writeFloatLE(number, i * 4);
  return bytes.toString("base64");
}
