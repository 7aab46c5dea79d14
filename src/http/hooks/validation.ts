// Validates input for Fastify. Bodies are checked unchanged; text in paths and query strings is converted to the type
// of its schema.
import { Ajv } from "ajv";
import type { FastifySchemaCompiler } from "fastify";
import type { TSchema } from "typebox";
import { wireAjvOptions } from "../../wire/body-check.ts";
import { nullDropper } from "../../wire/null-fields.ts";
import { isOpenAiPath } from "../../wire/openai/openai-errors.ts";

/** JSON has types, so bodies are not coerced: "5" is not a number, and an unknown field is an error. */
const strict = new Ajv(wireAjvOptions);
/** Values in paths and query strings are always text. */
const fromText = new Ajv({ ...wireAjvOptions, coerceTypes: true });

/** Compiles the validators of a route, for Fastify's setValidatorCompiler. */
export const compileValidator: FastifySchemaCompiler<TSchema> = ({ schema, httpPart, url }) => {
  if (httpPart !== "body") return fromText.compile(schema);
  const dropNulls = nullDropper(schema, { unknownToo: isOpenAiPath(url) });
  const validate = strict.compile(schema);
  return (body: unknown) => {
    const value = dropNulls(body);
    return validate(value) ? { value } : { error: validate.errors as never };
  };
};

/** Compiles only the query validator, for routes whose handler checks headers and body itself. */
export const compileQueryOnly: FastifySchemaCompiler<TSchema> = (part) =>
  part.httpPart === "querystring" ? compileValidator(part) : () => true;
