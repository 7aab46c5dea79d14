// What the resource of a job shows of requested embeddings. It has no vectors: they can be a thousand times as large as
// the rest, and POST /v1/embeddings and the results of batches return them.
import Type, { type Static } from "typebox";
import { isEmbedding } from "../domain/embedding-request.ts";
import type { JobRecord } from "../domain/job.ts";
import { nullable } from "./resource-types.ts";

/** The schema of the field. */
export const embeddingsSchema = Type.Object(
  {
    texts: Type.Integer({ description: "Number of texts to embed." }),
    embedded: Type.Integer({ description: "Number of these texts whose vectors are stored." }),
    dimensions: nullable(Type.Integer({ description: "Length of the vectors. Null if it is not known yet." })),
  },
  { description: "Set if the job makes embeddings. Its vectors are returned by POST /v1/embeddings and in batches." },
);

/** Returns the field, or null for a job that generates text. */
export function embeddingsResource({
  job: { request },
  attempts,
  outcome,
}: JobRecord): Static<typeof embeddingsSchema> | null {
  if (!isEmbedding(request)) return null;
  const { texts, dimensions } = request.embeddings;
  const vector = outcome?.vectors?.[0];
  return {
    texts,
    embedded: outcome?.status === "completed" ? texts : Math.max(0, ...attempts.map(({ end }) => end?.embedded ?? 0)),
    dimensions: vector === undefined ? (dimensions ?? null) : vector.split(",").length,
  };
}
