// Bounds the tokens of images and documents. Providers count an image by its area after they have scaled it down, so
// each model has a most expensive image. The catalogue has that number; a call is settled to its real usage.
import { bytesOf } from "./media.ts";
import { nativeContent } from "./native-content.ts";
import type { NativeRequest } from "./native-request.ts";
import { isNative, type JobRequest } from "./request.ts";
import { estimateTokens } from "./tokens.ts";

/**
 * Tokens of the most expensive image of a model whose number is unknown: four tiles of Llama 3.2. Only Qwen and older
 * small models of OpenAI are known to count more.
 */
export const unknownImageTokens = 6_500;

/** Tokens of a page of a PDF. Converse reads a document's text, and a dense page has about 1,000 words. */
const tokensPerPage = 1_500;
/** Bytes of a page in a PDF whose pages cannot be seen, because its objects are compressed. */
const bytesPerPage = 25_000;
/** Bytes per token of formats that are compressed or binary. */
const bytesPerToken = 2;

/** Tokens of the images and documents of a request. */
export interface MediaTokens {
  /** A bound. */
  images: number;
  /** A guess: only the provider knows what it reads from a document. */
  documents: number;
}

/**
 * Counts the images and documents of a request.
 * @param imageTokens tokens of the model's most expensive image
 */
export function mediaTokens(request: JobRequest, imageTokens = unknownImageTokens): MediaTokens {
  const tokens: MediaTokens = { images: 0, documents: 0 };
  if (isNative(request)) return nativeMediaTokens(request, imageTokens);
  for (const { content } of request.messages) {
    for (const block of content) {
      if (block.type === "image") tokens.images += imageTokens;
      else if (block.type === "document") tokens.documents += documentTokens(block.format, block.data);
    }
  }
  return tokens;
}

function nativeMediaTokens({ native }: NativeRequest, imageTokens: number): MediaTokens {
  const { images, documents, otherTokens } = nativeContent(JSON.parse(native.body) as object);
  return {
    images: images * imageTokens,
    documents: documents.reduce((sum, { format, data }) => sum + documentTokens(format, data), Math.ceil(otherTokens)),
  };
}

/**
 * Guesses the tokens of a document.
 * @param format its name in Bedrock, or its media type without the part before the slash
 * @param base64 its bytes, with padding
 */
export function documentTokens(format: string, base64: string): number {
  const bytes = bytesOf(base64);
  switch (format) {
    case "pdf":
      return tokensPerPage * (pagesOf(base64) || Math.ceil(bytes / bytesPerPage));
    case "doc":
    case "docx":
    case "xls":
    case "xlsx":
      return Math.ceil(bytes / bytesPerToken);
    default:
      return estimateTokens(Buffer.from(base64, "base64").toString());
  }
}

/** Counts the page objects of a PDF. Returns 0 if it has compressed them. */
function pagesOf(base64: string): number {
  return (
    Buffer.from(base64, "base64")
      .toString("latin1")
      .match(/\/Type\s{0,4}\/Page(?![a-zA-Z])/g)?.length ?? 0
  );
}

/** Returns the request without the bytes of its images and documents, and the same request if it has none. */
export function withoutMedia(request: JobRequest): JobRequest {
  if (isNative(request)) return withoutNativeMedia(request);
  const isMedia = (type: string) => type === "image" || type === "document";
  if (!request.messages.some(({ content }) => content.some(({ type }) => isMedia(type)))) return request;
  const messages = request.messages.map((message) => ({
    ...message,
    content: message.content.filter(({ type }) => !isMedia(type)),
  }));
  return { ...request, messages };
}

function withoutNativeMedia(request: NativeRequest): NativeRequest {
  const { native } = request;
  const { texts, messages, images, documents, otherTokens } = nativeContent(JSON.parse(native.body) as object);
  if (images + documents.length + otherTokens === 0) return request;
  // The template around the messages counts, too.
  const body = JSON.stringify({ texts, messages: Array(messages).fill(0) });
  return { ...request, native: { ...native, body } };
}
