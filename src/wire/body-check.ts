// Checks request bodies against schemas and describes the first error in a sentence.
import { Ajv, type ErrorObject } from "ajv";
import type { FastifySchemaValidationError } from "fastify";
import type { Static, TSchema } from "typebox";
import { quote, SluiceError } from "../domain/errors.ts";
import { isUuid } from "../domain/ids.ts";
import { ajvOptions, type Path, problemsOf, unknownText } from "../schema/problems.ts";
import { shown } from "../schema/words.ts";
import { type NullOptions, nullDropper } from "./null-fields.ts";

const timePattern = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$/;

/** Ajv options for all input over HTTP. */
export const wireAjvOptions = {
  ...ajvOptions,
  // Stops at the first error, because collecting all of them is work that any caller could cause.
  allErrors: false,
  formats: {
    uuid: isUuid,
    "date-time": isTime,
  },
};

/** Returns whether the text is a valid time. Date.parse would read 30 February as 2 March. */
function isTime(text: string): boolean {
  const day = new Date(`${text.slice(0, 10)}T00:00:00Z`);
  return timePattern.test(text) && !Number.isNaN(Date.parse(text)) && day.getUTCDate() === Number(text.slice(8, 10));
}

/** JSON has types, so a body is not coerced: "5" is not a number, and an unknown field is an error. */
const strict = new Ajv(wireAjvOptions);

/**
 * Returns a function that checks bodies outside of Fastify. It returns the body without nulls of optional fields, or
 * throws the SluiceError of `validationError`.
 */
export function bodyCheck<S extends TSchema>(schema: S, options: NullOptions): (body: unknown) => Static<S> {
  const dropNulls = nullDropper(schema, options);
  const validate = strict.compile<Static<S>>(schema);
  return (body) => {
    const value = dropNulls(body);
    if (validate(value)) return value;
    throw validationError(validate.errors as FastifySchemaValidationError[], "body");
  };
}

/** Returns the error for a failed validation, for Fastify's schemaErrorFormatter. */
export function validationError(errors: FastifySchemaValidationError[], part: string): SluiceError {
  const [problem] = problemsOf(errors as ErrorObject[]);
  const { path, kind, known, text } = problem!;
  if (kind === "unknown") return unknown(path, known, part);
  const field = fieldOf(path);
  if (path.length === 0) {
    const { data } = errors.at(-1) as ErrorObject;
    return new SluiceError("invalid_json", `The body must be a JSON object; got ${shown(data)}.`);
  }
  const place = kind === "key" ? `A key of ${field}` : field;
  return new SluiceError("invalid_request", `${place} ${text}.`, { field });
}

function unknown(path: Path, known: readonly string[], part: string): SluiceError {
  const name = String(path.at(-1)).slice(0, 100);
  const holder = fieldOf(path.slice(0, -1));
  const what = `${part === "querystring" ? "query parameter" : "field"}${holder === "" ? "" : ` of ${holder}`}`;
  const hint = name === "dry_run" ? " This call has no dry run." : "";
  const message = `${quote(name)} ${unknownText(what, name, known)}.${hint}`;
  return new SluiceError("invalid_request", message, { field: fieldOf(path) });
}

/** Returns a path in a body as a caller writes it: `messages[0].content`. */
function fieldOf(path: Path): string {
  return path
    .map((part) => (typeof part === "number" ? `[${part}]` : `.${part.slice(0, 100)}`))
    .join("")
    .replace(/^\./, "");
}
