// Checks whether a model accepts the images and documents of a job. The numbers are Bedrock's; docs/refusals.md has the
// sources. Servers with OpenAI's API have limits of their own, which are unknown.
import type { DeploymentSettings } from "../../config/settings.ts";
import { bytesOf, type DocumentBlock, type ImageBlock } from "../../domain/media.ts";
import { type ContentBlock, type Message, normaliseMessages } from "../../domain/request.ts";
import { mediaField, sizeOfImage } from "./media-blocks.ts";

const maxImages = 20;
const maxImageBytes = 3.75 * 1024 * 1024;
/** Maximum width and height of an image, in pixels. */
const maxImagePixels = 8_000;
const maxDocuments = 5;
const maxDocumentBytes = 4.5 * 1024 * 1024;

/** Why a model refuses an image or document. */
export interface MediaRefusal {
  field: string;
  message: string;
  /** Set if other models may accept it. */
  isCapability?: true;
}

/**
 * Returns the first reason to refuse, or undefined.
 * @param who the model, as errors name it
 * @param messagesField the field of the messages, for a job that was read from the store
 */
export function refusedMedia(
  deployment: DeploymentSettings,
  messages: readonly Message[],
  who: string,
  messagesField: string,
): MediaRefusal | undefined {
  if (!messages.some(({ content }) => content.some(isMedia))) return undefined;
  const counts = { image: 0, document: 0 };
  for (const { content } of normaliseMessages(messages)) {
    const hasText = content.some(({ type }) => type === "text");
    for (const block of content) {
      if (!isMedia(block)) continue;
      const count = ++counts[block.type];
      const problem =
        block.type === "image"
          ? imageProblem(deployment, block, count)
          : documentProblem(deployment, block, count, hasText);
      if (!problem) continue;
      const field = mediaField(block) ?? messagesField;
      const { text, isCapability } = problem;
      return { field, message: `${field} ${text.replace("WHO", () => who)}`, ...(isCapability && { isCapability }) };
    }
  }
  return undefined;
}

function isMedia(block: ContentBlock): block is ImageBlock | DocumentBlock {
  return block.type === "image" || block.type === "document";
}

/** The rest of a sentence that begins with the field. `WHO` stands for the model. */
interface Problem {
  text: string;
  isCapability?: true;
}

function imageProblem({ provider, traits }: DeploymentSettings, block: ImageBlock, count: number): Problem | undefined {
  if (traits.images === false) return { text: "must not be set: WHO does not accept images.", isCapability: true };
  if (provider !== "bedrock") return undefined;
  if (count > maxImages) return { text: `is image ${count}; WHO accepts at most ${maxImages} in a request.` };
  const bytes = bytesOf(block.data);
  if (bytes > maxImageBytes) return { text: tooLarge(bytes, maxImageBytes) };
  const size = sizeOfImage(block);
  if (!size || Math.max(size.width, size.height) <= maxImagePixels) return undefined;
  return {
    text: `is ${size.width} x ${size.height} pixels; WHO accepts images of at most ${maxImagePixels} x ${maxImagePixels}.`,
  };
}

function documentProblem(
  { provider, traits }: DeploymentSettings,
  block: DocumentBlock,
  count: number,
  hasText: boolean,
): Problem | undefined {
  const { documents } = traits;
  if (documents?.length === 0) return { text: "must not be set: WHO does not accept documents.", isCapability: true };
  if (documents && !documents.includes(block.format)) {
    return { text: `must be of the type ${documents.join(", ")} for WHO; got ${block.format}.`, isCapability: true };
  }
  if (provider !== "bedrock") return undefined;
  if (count > maxDocuments) return { text: `is document ${count}; WHO accepts at most ${maxDocuments} in a request.` };
  const bytes = bytesOf(block.data);
  if (bytes > maxDocumentBytes) return { text: tooLarge(bytes, maxDocumentBytes) };
  return hasText ? undefined : { text: "must have a text in the same message: WHO refuses a document without one." };
}

function tooLarge(bytes: number, max: number): string {
  return `is ${bytes} bytes; WHO accepts at most ${max}.`;
}
