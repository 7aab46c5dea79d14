// Compiles the schemas of responses once for all routes and servers of a process. Compiling shared error schemas for
// each route took a third of a second at every start.
import fastJsonStringify from "fast-json-stringify";

type Serialize = (data: unknown) => string;

/** Compiled serializers, by the JSON of the named schemas and then by the JSON of the schema. */
const compiled = new Map<string, Map<string, Serialize>>();

/**
 * Builds a server's serializer compiler, for Fastify's `schemaController.compilersFactory.buildSerializer`.
 * @param named the schemas that others refer to, by their `$id`
 */
export function buildSerializer(named?: unknown): (route: { schema?: unknown }) => Serialize {
  const schemas = (named ?? {}) as Record<string, object>;
  const names = JSON.stringify(schemas);
  const known = compiled.get(names) ?? new Map<string, Serialize>();
  compiled.set(names, known);
  return ({ schema }) => {
    const key = JSON.stringify(schema);
    let serialize = known.get(key);
    if (serialize === undefined) {
      const own = schema as fastJsonStringify.Schema & { $id?: string };
      const { [own.$id ?? ""]: _, ...others } = schemas;
      serialize = fastJsonStringify(own, { schema: others as never }) as Serialize;
      known.set(key, serialize);
    }
    return serialize;
  };
}
