// What routes that return pages share: the fields of a query, and the form of a page in Sluice's and in OpenAI's API.
import Type, { type TSchema } from "typebox";
import { nullable } from "../wire/resource-types.ts";

interface PageSize {
  /** What a page contains, such as `jobs`. Default: `items`. */
  of?: string;
  /** Size of a page without `limit`. */
  usual: number;
  max: number;
}

/** Returns the field `limit` of a query. */
export function pageLimit({ of = "items", usual, max }: PageSize) {
  return Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: max,
      description: `Maximum number of ${of} in a page. Default: ${usual}.`,
    }),
  );
}

/**
 * Returns the fields `limit` and `cursor` of a query.
 * @param maxCursor maximum length of a cursor
 */
export function pageQuery(size: PageSize, maxCursor: number) {
  return {
    limit: pageLimit(size),
    cursor: Type.Optional(Type.String({ maxLength: maxCursor, description: "`next_cursor` of the previous page." })),
  };
}

/** Returns the schema of `pageOf`. */
export function pageSchema<Item extends TSchema>(item: Item, description: string) {
  return Type.Object(
    {
      data: Type.Array(item),
      next_cursor: nullable(Type.String({ description: "The cursor of the next page. Null on the last page." })),
    },
    { description },
  );
}

/** Returns a page in Sluice's form. */
export function pageOf<Item>(data: Item[], next: string | undefined) {
  return { data, next_cursor: next ?? null };
}

/** Returns the field `after` of a query in OpenAI's form. */
export function afterField(of: string) {
  return Type.Optional(Type.String({ maxLength: 200, description: `The id of the last ${of} on the previous page.` }));
}

/** Returns the schema of `listOf`. */
export function listSchema<Item extends TSchema>(item: Item) {
  return Type.Object({
    object: Type.Literal("list"),
    data: Type.Array(item),
    has_more: Type.Boolean(),
    first_id: Type.Optional(Type.String()),
    last_id: Type.Optional(Type.String()),
  });
}

/** Returns a page in OpenAI's form. */
export function listOf<Item extends { id: string }>(data: Item[], more: boolean) {
  return {
    object: "list" as const,
    data,
    has_more: more,
    ...(data.length > 0 && { first_id: data[0]!.id, last_id: data.at(-1)!.id }),
  };
}
