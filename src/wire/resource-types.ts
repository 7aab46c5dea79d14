// Defines schemas that several resources share.
import Type, { type Static, type TSchema } from "typebox";
import { JsonText } from "../domain/json-text.ts";
import type { JsonSchema } from "../domain/request.ts";

/** Returns the schema of a value or null. Fields of a response are always present. */
export function nullable<S extends TSchema>(schema: S) {
  const { type } = schema as { type?: string };
  return Type.Unsafe<Static<S> | null>({ ...schema, type: [type, "null"] });
}

export const time = (description: string) => Type.String({ format: "date-time", description });

/** Returns a time as ISO 8601 in UTC. */
export function iso(epochMs: number): string {
  return new Date(epochMs).toISOString();
}

export function isoOrNull(epochMs: number | undefined): string | null {
  return epochMs === undefined ? null : iso(epochMs);
}

/** Returns a schema in a body as the record stores it: an object, or text if the reader of the body kept it as text. */
export function schemaOf(schema: object): JsonSchema {
  return schema instanceof JsonText ? schema.text : schema;
}
