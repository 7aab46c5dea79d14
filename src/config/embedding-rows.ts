// What is known about Bedrock's embedding models. Data only; see catalogue-rows.ts. `contextTokens` is that of a whole
// call, because it bounds the usage that the model may report.
import type { CatalogueRow } from "./catalogue-families.ts";
import type { EmbeddingTraits } from "./model-traits.ts";

const cohere: EmbeddingTraits = {
  body: "cohere",
  textsPerCall: 96,
  inputTypes: ["search_document", "search_query", "classification", "clustering"],
};
const cohere3: CatalogueRow = {
  contextTokens: 96 * 512,
  embeddings: { ...cohere, dimensions: [1024], textTokens: 512, textCharacters: 2048 },
  onDemand: true,
  prices: { input: 0.1, output: 0 },
};

/** Rows by the bare ID of a model. */
export const embeddingRows: Record<string, CatalogueRow> = {
  "amazon.titan-embed-text-v2:0": {
    contextTokens: 8192,
    embeddings: {
      body: "titan",
      textsPerCall: 1,
      dimensions: [1024, 512, 256],
      textCharacters: 50_000,
      inputTypes: [],
    },
    onDemand: true,
    prices: { input: 0.02, output: 0 },
  },
  "cohere.embed-english-v3": cohere3,
  "cohere.embed-multilingual-v3": cohere3,
  "cohere.embed-v4:0": {
    contextTokens: 96 * 128_000,
    embeddings: { ...cohere, dimensions: [1536, 1024, 512, 256], textTokens: 128_000 },
    profiles: ["us", "eu", "global"],
    onDemand: true,
    prices: { input: 0.12, output: 0 },
    unconfirmed: ["onDemand", "prices"],
  },
};
