// Reads the body of CountTokens: the request whose tokens are to be counted.
import { isUtf8 } from "node:buffer";
import { SluiceError } from "../../domain/errors.ts";
import type { NativeCall } from "../../domain/native-request.ts";

const converseField = "input.converse";
const bodyField = "input.invokeModel.body";

/** @throws SluiceError `invalid_json`, `invalid_request` */
export function readCountedCall(text: string): NativeCall {
  const { input } = objectOf(parsed(text));
  const { converse, invokeModel } = objectOf(input);
  if ((converse === undefined) === (invokeModel === undefined)) {
    throw refused("input", `input must have either converse or invokeModel.`);
  }
  if (invokeModel === undefined) {
    if (!isObject(converse)) throw refused(converseField, `${converseField} must be an object.`);
    return { operation: "converse", streamed: false, body: JSON.stringify(converse) };
  }
  const { body } = objectOf(invokeModel);
  if (typeof body !== "string") throw refused(bodyField, `${bodyField} must be text in base64.`);
  const bytes = Buffer.from(body, "base64");
  if (!isUtf8(bytes)) throw refused(bodyField, `${bodyField} must be JSON in UTF-8, encoded in base64.`);
  return { operation: "invoke", streamed: false, body: bytes.toString() };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new SluiceError("invalid_json", `The body is not valid JSON: ${(error as Error).message}.`);
  }
}

function objectOf(value: unknown): Record<string, unknown> {
  return isObject(value) ? value : {};
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function refused(field: string, message: string): SluiceError {
  return new SluiceError("invalid_request", message, { field });
}
