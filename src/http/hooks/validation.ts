// Fastify's validators: bodies are checked as they are, and text in paths and query strings becomes the type of its schema.
import { Ajv } from "ajv";
import type { FastifySchemaCompiler } from "fastify";
import type { TSchema } from "typebox";
import { wireAjvOptions } from "../../wire/body-check.ts";
import { nullDropper } from "../../wire/null-fields.ts";
import { isOpenAiPath } from "../../wire/openai/openai-errors.ts";

/** JSON has types, so a body keeps them: "5" is no number, and an unknown field is a mistake. */
const strict = new Ajv(wireAjvOptions);
/** Everything in a path or a query string is text. */
const fromText = new Ajv({ ...wireAjvOptions, coerceTypes: true });

/** For Fastify's setValidatorCompiler. */
export const compileValidator: FastifySchemaCompiler<TSchema> = ({ schema, httpPart, url }) => {
  if (httpPart !== "body") return fromText.compile(schema);
  const dropNulls = nullDropper(schema, { unknownToo: isOpenAiPath(url) });
  const validate = strict.compile(schema);
  return (body: unknown) => {
    const value = dropNulls(body);
    return validate(value) ? { value } : { error: validate.errors as never };
  };
};

/** For the validatorCompiler of a route whose handler checks headers and body itself. */
export const compileQueryOnly: FastifySchemaCompiler<TSchema> = (part) =>
  part.httpPart === "querystring" ? compileValidator(part) : () => true;
