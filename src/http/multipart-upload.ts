// Reads the form of POST /v1/files as a stream, so that the file is never entirely in memory.
import type { IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import { Busboy, type BusboyHeaders, type BusboyInstance } from "@fastify/busboy";
import { quote, SluiceError } from "../domain/errors.ts";

/** The fields of the form, without the file's bytes. */
export interface UploadForm {
  filename: string;
  purpose: string;
  /** The form's `expires_after`. Its parts are undefined if the form lacks them. */
  expiresAfter?: { anchor: string | undefined; seconds: string | undefined };
}

interface Upload<Stored> {
  request: IncomingMessage;
  maxFileBytes: number;
  /**
   * Stores the file.
   * @param form returns the other fields, which may follow the file; rejects if the form is invalid
   */
  store(bytes: AsyncIterable<Uint8Array>, form: () => Promise<UploadForm>): Promise<Stored>;
}

const [anchorField, secondsField] = ["expires_after[anchor]", "expires_after[seconds]"];
const fields = ["file", "purpose", anchorField, secondsField];
const maxFieldBytes = 1000;
const maxFilenameLength = 255;
/** Maximum size of the form without its file (boundaries, headers, other fields), in bytes. */
const formBytes = 64 * 1024;

/**
 * Receives an upload and returns what `store` returns.
 * @throws SluiceError `invalid_request`, `too_large`, or what `store` throws
 */
export async function receiveUpload<Stored>({ request, maxFileBytes, store }: Upload<Stored>): Promise<Stored> {
  // Refuses a too large file before it is sent, if the client declares its size.
  if (Number(request.headers["content-length"] ?? 0) > maxFileBytes + formBytes) throw tooLarge(maxFileBytes);
  const busboy = busboyFor(request);
  const values = new Map<string, string>();
  let filename = "";
  let storing: Promise<Stored> | undefined;
  let bytes: Readable | undefined;
  let problem: SluiceError | undefined;

  const complete = new Promise<void>((resolve, reject) => {
    busboy.on("finish", resolve);
    busboy.on("error", (error) => reject(badForm(`The form cannot be read: ${(error as Error).message}.`)));
    request.on("error", reject);
    request.on("close", () => {
      if (!request.complete) reject(badForm("The connection was closed before the form was complete."));
    });
  });
  const form = async (): Promise<UploadForm> => {
    await complete;
    if (problem) throw problem;
    const purpose = values.get("purpose");
    if (purpose === undefined) throw badForm("purpose is required. Set it to batch.", "purpose");
    const [anchor, seconds] = [values.get(anchorField), values.get(secondsField)];
    const expires = anchor !== undefined || seconds !== undefined;
    return {
      filename: cut(filename) || "upload.jsonl",
      purpose,
      ...(expires && { expiresAfter: { anchor, seconds } }),
    };
  };

  busboy.on("field", (name, value, _nameCut, valueCut) => {
    if (!fields.includes(name) || name === "file") problem ??= unexpected(name);
    else if (valueCut) problem ??= badForm(`${name} is longer than ${maxFieldBytes} bytes.`, name);
    else values.set(name, value);
  });
  busboy.on("file", (name, stream, givenName) => {
    // The reader of the stream gets its errors. Without this listener, an error would end the process once the reader
    // has stopped.
    stream.on("error", () => {});
    if (name !== "file" || storing) {
      problem ??= storing ? badForm("The form must have exactly one file; got several.", "file") : unexpected(name);
      stream.resume();
      return;
    }
    filename = givenName ?? "";
    bytes = stream;
    storing = store(bounded(stream, maxFileBytes), form);
    storing.catch(() => {});
  });
  // A form that breaks off must end the reading of its file.
  complete.catch((error) => bytes?.destroy(error));
  request.pipe(busboy);
  try {
    // An error of the file ends the upload before the form is complete.
    await Promise.race([complete, failureOf(() => storing, busboy)]);
    if (!storing) throw problem ?? badForm("file is required. Send the file as the form field named file.", "file");
    return await storing;
  } catch (error) {
    request.unpipe(busboy);
    bytes?.destroy();
    await storing?.catch(() => {});
    throw error;
  }
}

/** Returns a promise that rejects when the file cannot be stored, and never resolves. */
function failureOf(storing: () => Promise<unknown> | undefined, busboy: BusboyInstance): Promise<never> {
  return new Promise((_, reject) => {
    busboy.on("file", () => storing()?.catch(reject));
  });
}

function busboyFor(request: IncomingMessage): BusboyInstance {
  try {
    return new Busboy({
      headers: request.headers as BusboyHeaders,
      limits: { fieldSize: maxFieldBytes, fields: 20, files: 2, parts: 22, headerPairs: 50, headerSize: 8192 },
    });
  } catch (error) {
    throw badForm(`The form cannot be read: ${(error as Error).message}.`);
  }
}

/** Shortens a filename without splitting a character. */
function cut(filename: string): string {
  return filename.slice(0, maxFilenameLength).replace(/\p{Surrogate}/gu, "");
}

async function* bounded(stream: Readable, maxBytes: number): AsyncIterable<Uint8Array> {
  let size = 0;
  for await (const piece of stream as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size > maxBytes) throw tooLarge(maxBytes);
    yield piece;
  }
}

function tooLarge(maxBytes: number): SluiceError {
  return new SluiceError("too_large", `The file is larger than ${maxBytes} bytes (limits.maxFileBytes).`, {
    field: "file",
  });
}

function unexpected(name: string): SluiceError {
  return badForm(`${quote(name)} is not a known field; known fields: ${fields.join(", ")}.`, name.slice(0, 100));
}

function badForm(message: string, field?: string): SluiceError {
  return new SluiceError("invalid_request", message, field === undefined ? {} : { field });
}
