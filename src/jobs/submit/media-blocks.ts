// Reads the images and documents of a conversation. Their bytes stay what the caller sent; only the base64 around them
// is written in one way. Errors name the caller's field, also those that only a model causes, later.
import { quote, SluiceError } from "../../domain/errors.ts";
import { type ImageSize, imageSizeOf } from "../../domain/image-size.ts";
import {
  canBeDocument,
  type DocumentBlock,
  type DocumentFormat,
  documentTypes,
  type ImageBlock,
  type ImageFormat,
  imageFormatOf,
  imageTypes,
} from "../../domain/media.ts";

/** The field of each image and document in the caller's body. It is not part of the stored record. */
const places = new WeakMap<object, string>();

/** Returns the field of an image or document, or undefined for one that was read from the store. */
export function mediaField(block: ImageBlock | DocumentBlock): string | undefined {
  return places.get(block);
}

const sizes = new WeakMap<ImageBlock, ImageSize | undefined>();

/** Returns the size of an image, or undefined if its header cannot be read. */
export function sizeOfImage(block: ImageBlock): ImageSize | undefined {
  if (!sizes.has(block)) sizes.set(block, imageSizeOf(Buffer.from(block.data, "base64")));
  return sizes.get(block);
}

/** Media with a declared type. */
export interface DeclaredMedia {
  /** Media type as the caller wrote it. Absent: the caller named none. */
  mediaType?: string | undefined;
  /** Base64, as clients write it. */
  data: string;
}

const shownImageTypes = "image/png, image/jpeg, image/gif or image/webp";
/** Other names that clients use for a type. */
const otherImageNames: Record<string, ImageFormat> = { "image/jpg": "jpeg", "image/pjpeg": "jpeg" };

/**
 * Returns the block of an image.
 * @param field the field in the caller's body
 * @throws SluiceError `invalid_request` with the field, for another type, broken base64, or bytes of another type
 */
export function imageBlock({ mediaType = "", data }: DeclaredMedia, field: string, detail?: string): ImageBlock {
  const declared = mediaType.trim().toLowerCase();
  const format = formatNamed(imageTypes, declared) ?? otherImageNames[declared];
  if (format === undefined) refuse(field, `must be an image of the type ${shownImageTypes}; got ${quote(mediaType)}.`);
  const bytes = bytesFrom(data, field);
  const found = imageFormatOf(bytes);
  if (found !== format) {
    const is = found === undefined ? `none of ${shownImageTypes}` : imageTypes[found];
    refuse(field, `is declared as ${imageTypes[format]}, but its bytes are ${is}.`);
  }
  const block: ImageBlock = { type: "image", format, data: bytes.toString("base64") };
  if (detail !== undefined) block.detail = detail;
  places.set(block, field);
  return block;
}

/** Name of a document that has none. */
const unnamed = "document";
const maxNameLength = 500;

/**
 * Returns the block of a document. The end of its name decides the format if its media type is absent or says nothing.
 * @param field the field in the caller's body
 * @throws SluiceError `invalid_request` as `imageBlock`
 */
export function documentBlock(
  { mediaType = "", data, name = "" }: DeclaredMedia & { name?: string | undefined },
  field: string,
): DocumentBlock {
  const declared = mediaType.trim().toLowerCase();
  const ending = /\.([a-z]+)$/i.exec(name.trim())?.[1]?.toLowerCase();
  const isVague = declared === "" || declared === "application/octet-stream";
  const format = isVague ? formatOfEnding(ending) : (formatNamed(documentTypes, declared) ?? sameAs(declared));
  if (format === undefined) {
    const known = Object.keys(documentTypes).join(", ");
    const got = isVague ? "no media type, and a name without one of these endings" : quote(mediaType);
    refuse(field, `must be a document of the type ${known}; got ${got}.`);
  }
  if (name.length > maxNameLength) refuse(field, `must have a name of at most ${maxNameLength} characters.`);
  const bytes = bytesFrom(data, field);
  if (!canBeDocument(format, bytes)) {
    refuse(field, `is declared as ${documentTypes[format]}, but its bytes are something else.`);
  }
  const block: DocumentBlock = {
    type: "document",
    format,
    name: name.trim() || unnamed,
    data: bytes.toString("base64"),
  };
  places.set(block, field);
  return block;
}

function formatNamed<F extends string>(types: Readonly<Record<F, string>>, mediaType: string): F | undefined {
  return (Object.keys(types) as F[]).find((format) => types[format] === mediaType);
}

function formatOfEnding(ending: string | undefined): DocumentFormat | undefined {
  if (ending === "htm") return "html";
  return ending !== undefined && Object.hasOwn(documentTypes, ending) ? (ending as DocumentFormat) : undefined;
}

/** Other names that clients use for a type. */
function sameAs(mediaType: string): DocumentFormat | undefined {
  const names: Record<string, DocumentFormat> = { "application/csv": "csv", "text/x-markdown": "md" };
  return Object.hasOwn(names, mediaType) ? names[mediaType] : undefined;
}

/**
 * Splits a data URL.
 * @param what what the URL holds, for errors
 * @throws SluiceError `invalid_request` with the field, for an address that would have to be fetched, and for other text
 */
export function dataUrl(url: string, field: string, what: "image" | "file"): DeclaredMedia {
  const text = url.trimStart();
  if (!/^data:/i.test(text)) {
    if (/^[a-z][a-z0-9+.-]*:/i.test(text)) throw notFetched(field, what, "a data URL");
    refuse(field, `must be a data URL such as data:${what === "image" ? "image/png" : "application/pdf"};base64,....`);
  }
  const comma = text.indexOf(",");
  const [mediaType, ...parameters] = text.slice("data:".length, Math.max(0, comma)).split(";");
  if (comma < 0 || parameters.at(-1)?.trim().toLowerCase() !== "base64") {
    refuse(field, "must be a data URL with base64: data:, the media type, ;base64, and the data.");
  }
  const data = text.slice(comma + 1);
  return { mediaType, data: data.includes("%") ? percentDecoded(data, field) : data };
}

/** Creates the error for an address, which Sluice does not open on behalf of a caller. */
export function notFetched(field: string, what: "image" | "file", as: string): SluiceError {
  const message = `${field}: Sluice does not fetch URLs; send the ${what} as ${as}.`;
  return new SluiceError("invalid_request", message, { field });
}

function percentDecoded(data: string, field: string): string {
  try {
    return decodeURIComponent(data);
  } catch {
    return refuse(field, "must not contain a % that begins no percent-encoded character.");
  }
}

/**
 * Returns the bytes of base64 as clients write it: also with line breaks, without padding, or with the alphabet for
 * URLs.
 * @throws SluiceError `invalid_request` for other text, and if there are no bytes
 */
function bytesFrom(data: string, field: string): Buffer {
  if (/^\s*https?:/i.test(data)) throw notFetched(field, "file", "base64");
  const clean = data.replace(/\s+/g, "").replace(/={1,2}$/, "");
  if (clean === "") refuse(field, "must not be empty.");
  const wrong = /[^A-Za-z0-9+/_-]/.exec(clean)?.[0];
  if (wrong !== undefined) refuse(field, `must be base64; it contains ${quote(wrong)}.`);
  if (clean.length % 4 === 1) refuse(field, "must be base64; it is cut off.");
  return Buffer.from(clean, "base64");
}

function refuse(field: string, problem: string): never {
  throw new SluiceError("invalid_request", `${field} ${problem}`, { field });
}
