// Images, documents and reasoning in the messages of Converse: what Bedrock refuses about them, in its words or those of
// the model's maker, and how many tokens they count. docs/simulator.md has the sources.

import { imageSizeOf } from "../domain/image-size.ts";
import { imageFormatOf } from "../domain/media.ts";
import { type BedrockError, byModel, invalid, unsupported } from "./aws-errors.ts";
import { isObject, type Json } from "./json.ts";
import type { CalledModel } from "./simulated-models.ts";
import { countTokens, signatureOf } from "./text.ts";

const maxImages = 20;
const maxImageBytes = 3.75 * 1024 * 1024;
const maxImagePixels = 8_000;
const maxDocuments = 5;
const maxDocumentBytes = 4.5 * 1024 * 1024;

/** Checks the blocks of messages. @throws BedrockError with Bedrock's refusal */
export function checkContentBlocks(messages: readonly Json[], model: CalledModel): void {
  let images = 0;
  const names: unknown[] = [];
  for (const [i, { role, content }] of messages.entries()) {
    const blocks = Array.isArray(content) ? content.filter(isObject) : [];
    for (const [j, block] of blocks.entries()) {
      const at = `messages.${i}.content.${j}`;
      if ("reasoningContent" in block) checkReasoning(block.reasoningContent, String(role), at, model);
      for (const kind of ["image", "document"] as const) {
        if (kind in block && role !== "user")
          throw invalid(`The ${kind} field at ${at} is only allowed in user messages.`);
      }
      if ("image" in block && ++images > maxImages)
        throw byModel(`messages: too many images: ${images} > ${maxImages}`);
      if ("image" in block) checkImage(block.image, at, model);
      if ("document" in block) {
        names.push(checkDocument(block.document, model));
        if (!blocks.some((other) => "text" in other))
          throw invalid(`The message at messages.${i} has a document, but no text.`);
      }
    }
  }
  if (names.length > maxDocuments) throw invalid(`You can't include more than ${maxDocuments} documents in a request.`);
  if (new Set(names).size < names.length) {
    throw invalid("Messages can't contain duplicate document names. Rename the document and retry your request.");
  }
}

function checkImage(image: unknown, at: string, { rules }: CalledModel): void {
  if (!rules.images) throw unsupported("image");
  const { format, source } = isObject(image) ? image : ({} as Json);
  const bytes = bytesIn(source);
  const found = imageFormatOf(bytes);
  if (found !== format) {
    const type = `image/${String(format)}`;
    throw byModel(
      found === undefined
        ? `${at}.image.source.base64.data: Could not process image`
        : `${at}.image.source.base64: The image was specified using the ${type} media type, but the image appears to be a image/${found} image`,
    );
  }
  if (bytes.length > maxImageBytes) throw tooBig("image", maxImageBytes);
  const size = imageSizeOf(bytes);
  if (size && Math.max(size.width, size.height) > maxImagePixels) {
    throw byModel(
      `${at}.image.source.base64.data: At least one of the image dimensions exceed max allowed size: ${maxImagePixels} pixels`,
    );
  }
}

const documentName = /^(?!.*\s\s)[a-zA-Z0-9\s()[\]_-]{1,200}$/;

/** Checks a document and returns its name. */
function checkDocument(document: unknown, { rules }: CalledModel): unknown {
  if (!rules.documents) throw unsupported("document");
  const { name, source } = isObject(document) ? document : ({} as Json);
  if (typeof name !== "string" || !documentName.test(name)) {
    throw invalid(
      "The document file name can only contain alphanumeric characters, whitespace characters, hyphens, parentheses, and square brackets. The name can't contain more than one consecutive whitespace character. Change the document name and retry your request.",
    );
  }
  if (bytesIn(source).length > maxDocumentBytes) throw tooBig("document", maxDocumentBytes);
  return name;
}

function tooBig(what: string, max: number): BedrockError {
  return invalid(`The ${what} exceeds the maximum size of ${max} bytes. Reduce its size and retry your request.`);
}

function checkReasoning(reasoning: unknown, role: string, at: string, { rules }: CalledModel): void {
  if (role === "user" || rules.pastReasoning === "refused")
    throw invalid("User messages cannot contain reasoning content");
  if (rules.pastReasoning !== "signed") return;
  const { reasoningText, redactedContent } = isObject(reasoning) ? reasoning : ({} as Json);
  if (redactedContent !== undefined) return;
  const { text, signature } = isObject(reasoningText) ? reasoningText : ({} as Json);
  if (typeof signature !== "string") throw byModel(`${at}.thinking.signature: Field required`);
  if (signature !== signatureOf(String(text))) throw byModel(`${at}: Invalid \`signature\` in \`thinking\` block`);
}

/** Tokens of the largest image. Claude counts about as many. */
const mostImageTokens = 1_600;
const pixelsPerToken = 750;
const tokensPerPage = 1_000;
const bytesPerPage = 25_000;
const bytesPerToken = 4;

/** Counts an image or a document in base64. The document's format decides how. */
export function mediaTokens(block: Json): number {
  if (isObject(block.image)) return imageTokens(bytesIn(block.image.source));
  const document = block.document ?? block.nativeDocument;
  if (!isObject(document)) return 0;
  const { format, source } = document;
  return documentTokens(String(format), bytesIn(source));
}

/** Counts an image. */
export function imageTokens(bytes: Buffer): number {
  const size = imageSizeOf(bytes);
  if (!size) return mostImageTokens;
  return Math.max(1, Math.min(mostImageTokens, Math.ceil((size.width * size.height) / pixelsPerToken)));
}

/** Counts a document. */
export function documentTokens(format: string, bytes: Buffer): number {
  if (["txt", "md", "csv", "html"].includes(format)) return countTokens(bytes.toString());
  if (format !== "pdf") return Math.ceil(bytes.length / bytesPerToken);
  const pages = bytes.toString("latin1").match(/\/Type\s{0,4}\/Page(?![a-zA-Z])/g)?.length;
  return tokensPerPage * (pages ?? Math.ceil(bytes.length / bytesPerPage));
}

function bytesIn(source: unknown): Buffer {
  const base64 = isObject(source) ? source.bytes : undefined;
  return Buffer.from(typeof base64 === "string" ? base64 : "", "base64");
}
