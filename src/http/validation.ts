// Checking what came in against the schemas of the routes, and saying what is wrong in the caller's words.
import { Ajv, type ErrorObject } from "ajv";
import type { FastifySchemaCompiler, FastifySchemaValidationError } from "fastify";
import type { Static, TSchema } from "typebox";
import { SluiceError } from "../domain/errors.ts";
import { isUuid } from "../domain/ids.ts";
import { quote } from "../jobs/quote.ts";
import { type NullOptions, nullDropper } from "./nulls.ts";
import { isOpenAiPath } from "./openai/errors.ts";

const timePattern = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$/;

const options = {
  // The first mistake is enough, and a long list of them would be work that a stranger can order.
  allErrors: false,
  // With the schema and the value in each error, to make the message from.
  verbose: true,
  formats: {
    uuid: isUuid,
    "date-time": isTime,
  },
  allowUnionTypes: true,
};

/** Date.parse takes the thirtieth of February for the second of March. */
function isTime(text: string): boolean {
  const day = new Date(`${text.slice(0, 10)}T00:00:00Z`);
  return timePattern.test(text) && !Number.isNaN(Date.parse(text)) && day.getUTCDate() === Number(text.slice(8, 10));
}

/** JSON has types, so a body is taken as it is: "5" is no number and an unknown field is a mistake, not noise. */
const strict = new Ajv(options);
/** In a path or a query everything is text. */
const fromText = new Ajv({ ...options, coerceTypes: true });

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

/**
 * Checks bodies outside of Fastify. The function that is returned gives the body without the nulls of optional fields, or
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

/** For Fastify's schemaErrorFormatter. */
export function validationError(errors: FastifySchemaValidationError[], part: string): SluiceError {
  // The last one is about the whole value; those before it are about alternatives that did not fit either.
  const error = errors.at(-1) as ErrorObject;
  const path = fieldOf(error.instancePath);
  const inPath = (name: string) => (path === "" ? name : `${path}.${name}`);
  if (error.keyword === "required") {
    const field = inPath(error.params.missingProperty);
    return new SluiceError("invalid_request", `${field} is required.`, { field });
  }
  if (error.keyword === "additionalProperties") {
    const unknown = String(error.params.additionalProperty).slice(0, 100);
    const known = Object.keys(error.parentSchema?.properties ?? {}).join(", ");
    const what = part === "querystring" ? "query parameter" : "field";
    return new SluiceError(
      "invalid_request",
      `${quote(unknown)} is not a known ${what}${path === "" ? "" : ` of ${path}`}; known are: ${known || "none"}.${unknown === "dry_run" ? " There is no dry run here." : ""}`,
      { field: inPath(unknown) },
    );
  }
  if (error.keyword === "propertyNames") {
    const name = String(error.params.propertyName);
    return new SluiceError(
      "invalid_request",
      `A key of ${path} must be ${described({ type: "string", ...(error.schema as Described) })}; got ${quote(name)}.`,
      { field: path },
    );
  }
  if (path === "") return new SluiceError("invalid_json", `The body must be a JSON object; got ${shown(error.data)}.`);
  return new SluiceError(
    "invalid_request",
    `${path} must be ${described(error.parentSchema as Described)}; got ${counted(error) ?? shown(error.data)}.`,
    { field: path },
  );
}

/** `/messages/0/content` as a caller writes it: `messages[0].content`. */
function fieldOf(instancePath: string): string {
  return instancePath
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~").slice(0, 100))
    .reduce((path, part) => (/^\d+$/.test(part) ? `${path}[${part}]` : path === "" ? part : `${path}.${part}`), "");
}

interface Described {
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  anyOf?: Described[];
  format?: string;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  maxProperties?: number;
  items?: Described;
  required?: string[];
  properties?: Record<string, Described>;
  pattern?: string;
  additionalProperties?: boolean | Described;
  propertyNames?: Described;
}

/** What a schema allows, in words. */
function described(schema: Described): string {
  if (schema.enum) return `one of ${schema.enum.join(", ")}`;
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.anyOf) return alternatives(schema.anyOf);
  if (Array.isArray(schema.type)) {
    // null first: of an object more is said, which it would seem to belong to.
    const types = [...schema.type].sort((a, b) => Number(b === "null") - Number(a === "null"));
    return types.map((type) => described({ ...schema, type })).join(" or ");
  }
  switch (schema.type) {
    case "integer":
      return `an integer${range(schema.minimum, schema.maximum, "between", "of at least")}`;
    case "number":
      if (schema.exclusiveMinimum !== undefined && schema.maximum !== undefined) {
        return `a number greater than ${schema.exclusiveMinimum} and at most ${schema.maximum}`;
      }
      return `a number${range(schema.minimum, schema.maximum, "between", "of at least")}`;
    case "string":
      if (schema.format === "uuid") return "a UUID";
      if (schema.pattern !== undefined) return `a string that matches ${schema.pattern}`;
      if (schema.format === "date-time") return 'a time such as "2030-01-31T12:00:00Z"';
      return `a string${range(schema.minLength, schema.maxLength, "of", "of at least", "to", " characters")}`;
    case "null":
      return "null";
    case "boolean":
      return "true or false";
    case "array":
      return `a list${range(schema.minItems, schema.maxItems, "of", "of at least", "to", " items")}${each(schema.items)}`;
    case "object":
      if (typeof schema.additionalProperties === "object") {
        const keys = schema.propertyNames
          ? ` with ${described({ type: "string", ...schema.propertyNames })} as key`
          : "";
        return `an object of at most ${schema.maxProperties} entries, each${keys} and ${described(schema.additionalProperties)} as value`;
      }
      return schema.required ? `an object with ${listed(schema.required)}` : "an object";
    default:
      return "another value";
  }
}

/** Objects that a `type` tells apart are one kind of thing: of type text (with text), tool_call (with id and name). */
function alternatives(schemas: Described[]): string {
  const tagged = schemas.filter((s) => s.properties?.type?.const !== undefined);
  if (tagged.length < 2) return schemas.map(described).join(" or ");
  const kinds = tagged.map(({ properties, required = [] }) => {
    const rest = required.filter((key) => key !== "type");
    return `${properties!.type!.const}${rest.length > 0 ? ` (with ${listed(rest)})` : ""}`;
  });
  const others = schemas.filter((s) => !tagged.includes(s)).map(described);
  return [...others, `an object of type ${kinds.slice(0, -1).join(", ")} or ${kinds.at(-1)}`].join(" or ");
}

function listed(names: string[]): string {
  return names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : (names[0] ?? "nothing");
}

function each(items: Described | undefined): string {
  return items ? `, each ${described(items)}` : "";
}

function range(
  min: number | undefined,
  max: number | undefined,
  both: string,
  least: string,
  to = "and",
  unit = "",
): string {
  if (min !== undefined && max !== undefined) return ` ${both} ${min} ${to} ${max}${unit}`;
  if (min !== undefined) return ` ${least} ${min}${unit}`;
  if (max !== undefined) return ` of at most ${max}${unit}`;
  return "";
}

/** Of a list or an object that is too short or too long, how many items it has: the type is as it must be. */
function counted({ keyword, data }: { keyword: string; data?: unknown }): string | undefined {
  if (keyword === "maxProperties") return `an object of ${Object.keys(data as object).length} entries`;
  if (!Array.isArray(data) || (keyword !== "minItems" && keyword !== "maxItems")) return undefined;
  return data.length === 0 ? "an empty list" : `a list of ${data.length}`;
}

/** The value that was sent, bounded. Lists and objects are named only: their text may be long or nested without end. */
function shown(value: unknown): string {
  if (typeof value === "string") return quote(value);
  if (Array.isArray(value)) return "a list";
  if (value === undefined) return "nothing";
  return typeof value === "object" && value !== null ? "an object" : String(value);
}
