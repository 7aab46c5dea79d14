// Compiles the schemas of answers. Most routes share their schemas of errors, so each schema is compiled once for all routes
// and servers of a process. Compiling them for each route took a third of a second at every start.
import fastJsonStringify from "fast-json-stringify";

type Serialize = (data: unknown) => string;

/** By the JSON of the named schemas, then by that of the schema itself. */
const compiled = new Map<string, Map<string, Serialize>>();

/**
 * Builds the compiler of a server, for Fastify's `schemaController.compilersFactory.buildSerializer`.
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
