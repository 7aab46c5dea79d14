// Images and documents of a conversation: their formats, and what their bytes show about them.
import { isUtf8 } from "node:buffer";

/** An image in a user's message. */
export interface ImageBlock {
  type: "image";
  format: ImageFormat;
  /** The bytes in base64, with padding and without line breaks. */
  data: string;
  /** Resolution at which the model sees the image. Only servers with OpenAI's API know it. */
  detail?: string;
}

/** A document in a user's message. */
export interface DocumentBlock {
  type: "document";
  format: DocumentFormat;
  /** Name as the caller wrote it, often that of a file. */
  name: string;
  /** The bytes in base64, with padding and without line breaks. */
  data: string;
}

/** Media types by the format's name in Bedrock. */
export const imageTypes = { png: "image/png", jpeg: "image/jpeg", gif: "image/gif", webp: "image/webp" } as const;
export type ImageFormat = keyof typeof imageTypes;

const office = "application/vnd.openxmlformats-officedocument";
/** Media types by the format's name in Bedrock. */
export const documentTypes = {
  pdf: "application/pdf",
  csv: "text/csv",
  doc: "application/msword",
  docx: `${office}.wordprocessingml.document`,
  xls: "application/vnd.ms-excel",
  xlsx: `${office}.spreadsheetml.sheet`,
  html: "text/html",
  txt: "text/plain",
  md: "text/markdown",
} as const;
export type DocumentFormat = keyof typeof documentTypes;

/** Returns the media type of an image or a document. */
export function mediaTypeOf(block: ImageBlock | DocumentBlock): string {
  return block.type === "image" ? imageTypes[block.format] : documentTypes[block.format];
}

/** Returns the image or document as a data URL. */
export function dataUrlOf(block: ImageBlock | DocumentBlock): string {
  return `data:${mediaTypeOf(block)};base64,${block.data}`;
}

/** Returns the number of bytes that base64 with padding encodes. */
export function bytesOf(base64: string): number {
  const padding = base64.endsWith("==") ? 2 : base64.endsWith("=") ? 1 : 0;
  return (base64.length / 4) * 3 - padding;
}

/** Returns a sentence fragment such as `image/png, 312 KB`, without anything of the content. */
export function describeMedia(block: ImageBlock | DocumentBlock): string {
  return `${mediaTypeOf(block)}, ${Math.ceil(bytesOf(block.data) / 1024)} KB`;
}

/** Returns the format of the image with these bytes, or undefined for anything else. */
export function imageFormatOf(bytes: Buffer): ImageFormat | undefined {
  const starts = (...magic: number[]) => bytes.subarray(0, magic.length).equals(Buffer.from(magic));
  if (starts(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)) return "png";
  if (starts(0xff, 0xd8, 0xff)) return "jpeg";
  const text = bytes.toString("latin1", 0, 12);
  if (/^GIF8[79]a/.test(text)) return "gif";
  return /^RIFF....WEBP/s.test(text) ? "webp" : undefined;
}

/** A PDF may have other bytes before its header. */
const pdfHeaderWithin = 1024;

/** Returns whether bytes can be a document of this format. Formats of plain text have no mark: they must be UTF-8. */
export function canBeDocument(format: DocumentFormat, bytes: Buffer): boolean {
  switch (format) {
    case "pdf":
      return bytes.subarray(0, pdfHeaderWithin).includes("%PDF-");
    case "docx":
    case "xlsx":
      return bytes.toString("latin1", 0, 4) === "PK\x03\x04";
    case "doc":
    case "xls":
      return bytes.toString("hex", 0, 8) === "d0cf11e0a1b11ae1";
    default:
      return isUtf8(bytes) && !bytes.includes(0);
  }
}
