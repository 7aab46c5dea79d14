// Schemas that several resources share.
import Type, { type Static, type TSchema } from "typebox";
import { JsonText } from "../domain/json-text.ts";
import type { JsonSchema } from "../domain/request.ts";

/** A value or null: fields of an answer are always there. */
export function nullable<S extends TSchema>(schema: S) {
  const { type } = schema as { type?: string };
  return Type.Unsafe<Static<S> | null>({ ...schema, type: [type, "null"] });
}

export const time = (description: string) => Type.String({ format: "date-time", description });

/** UTC, ISO 8601. */
export function iso(epochMs: number): string {
  return new Date(epochMs).toISOString();
}

export function isoOrNull(epochMs: number | undefined): string | null {
  return epochMs === undefined ? null : iso(epochMs);
}

/** The schema in a body as the record keeps it: an object, or text if the reader of the body kept it as that. */
export function schemaOf(schema: object): JsonSchema {
  return schema instanceof JsonText ? schema.text : schema;
}
