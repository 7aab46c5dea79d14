// Reads images and files in messages of OpenAI's APIs. They come as data URLs, because Sluice opens no address for a
// caller.
import type { DocumentBlock, ImageBlock } from "../../domain/media.ts";
import { dataUrl, documentBlock, imageBlock, notFetched } from "../../jobs/submit/media-blocks.ts";
import { isObject, refuse, requireText } from "./openai-fields.ts";

/**
 * Reads `image_url` of a chat's part: an object with `url` and `detail`, or the URL alone.
 * @throws SluiceError `invalid_request` with the field
 */
export function chatImage(value: unknown, field: string): ImageBlock {
  if (typeof value === "string") return imageOf(value, undefined, field);
  if (!isObject(value)) return refuse(field, `${field} must be an object with a url.`);
  return imageOf(requireText(value.url, `${field}.url`), value.detail, field);
}

/** Reads `file` of a chat's part. @throws SluiceError `invalid_request` with the field */
export function chatFile(value: unknown, field: string): DocumentBlock {
  if (!isObject(value)) return refuse(field, `${field} must be an object with file_data and filename.`);
  return fileOf(value, field);
}

/** Reads a part `input_image` of a response. @throws SluiceError `invalid_request` with the field */
export function responseImage(part: Record<string, unknown>, field: string): ImageBlock {
  if (part.image_url === undefined || part.image_url === null) return noFileId("image_url", part, field);
  return imageOf(requireText(part.image_url, `${field}.image_url`), part.detail, `${field}.image_url`);
}

/** Reads a part `input_file` of a response. @throws SluiceError `invalid_request` with the field */
export function responseFile(part: Record<string, unknown>, field: string): DocumentBlock {
  return fileOf(part, field);
}

function imageOf(url: string, detail: unknown, field: string): ImageBlock {
  const given = detail === undefined || detail === null ? undefined : requireText(detail, `${field}.detail`);
  return imageBlock(dataUrl(url, field, "image"), field, given);
}

function fileOf(value: Record<string, unknown>, field: string): DocumentBlock {
  const { file_data: data, filename, file_url: url } = value;
  if (typeof url === "string") throw notFetched(`${field}.file_url`, "file", "file_data with a data URL");
  if (data === undefined || data === null) return noFileId("file_data", value, field);
  const place = `${field}.file_data`;
  const text = requireText(data, place);
  const name = filename === undefined || filename === null ? undefined : requireText(filename, `${field}.filename`);
  // Some clients send base64 alone, and the name tells the type.
  const media = /^\s*[a-z][a-z0-9+.-]*:/i.test(text) ? dataUrl(text, place, "file") : { data: text };
  return documentBlock({ ...media, name }, place);
}

function noFileId(needed: string, { file_id: id }: Record<string, unknown>, field: string): never {
  if (typeof id !== "string") return refuse(`${field}.${needed}`, `${field}.${needed} is required.`);
  const place = `${field}.file_id`;
  return refuse(place, `${place} is not supported: uploaded files are for batches. Send ${needed} with a data URL.`);
}
