// Serves /v1/keys to admin keys, and while no key exists to every caller on this machine.
import Type from "typebox";
import { SluiceError } from "../../domain/errors.ts";
import type { JobsContext } from "../../jobs/jobs-context.ts";
import type { KeyRegistry } from "../../jobs/keys/key-registry.ts";
import { createKey, findKeys, type KeyRecord, listKeysPage, revokeKey } from "../../jobs/keys/keys.ts";
import { requireAdmin } from "../../jobs/submit/policy.ts";
import { type KeyResource, keyBody, keyInputOf, keyResource } from "../../wire/key-resource.ts";
import { errorResponses } from "../error-responses.ts";
import type { HttpServer } from "../http-types.ts";
import { pageOf, pageQuery, pageSchema } from "../pages.ts";

const defaultListLimit = 200;

const listQuery = Type.Object(pageQuery({ of: "keys", usual: defaultListLimit, max: 1000 }, 1000), {
  additionalProperties: false,
});

const page = pageSchema(Type.Ref("Key#"), "The keys, oldest first.");

export function keyRoutes(app: HttpServer, context: JobsContext, keys: KeyRegistry): void {
  const tags = ["keys"];

  /** Returns keys as the API shows them. */
  async function resourcesOf(records: readonly KeyRecord[], key?: string): Promise<KeyResource[]> {
    const uses = await keys.lastUses(records.map(({ id }) => id));
    const resources: KeyResource[] = [];
    // One after the other: the first read of a key's usage may take a while.
    for (const record of records) {
      const usage = await context.limits?.usageOf(record.id);
      resources.push(keyResource(record, { key, usage, lastUsedAt: uses.get(record.id) }));
    }
    return resources;
  }
  const resourceOf = async (record: KeyRecord, key?: string) => (await resourcesOf([record], key))[0]!;

  app.post(
    "/v1/keys",
    {
      schema: {
        tags,
        operationId: "createKey",
        summary: "Create an API key; only this response shows it",
        body: keyBody,
        response: {
          200: Type.Ref("Key#"),
          ...errorResponses([
            "invalid_request",
            "invalid_json",
            "forbidden",
            "too_large",
            "unsupported_media_type",
            "unavailable",
            "fate_unknown",
            "storage_full",
          ]),
        },
      },
    },
    async ({ body, caller }, reply) => {
      requireAdmin(caller);
      const { record, key } = await createKey(context, keyInputOf(body), caller);
      await keys.note(record);
      reply.header("cache-control", "no-store");
      return resourceOf(record, key.text);
    },
  );

  app.get(
    "/v1/keys",
    {
      schema: {
        tags,
        operationId: "listKeys",
        summary: "List API keys, without their secrets",
        querystring: listQuery,
        response: { 200: page, ...errorResponses(["invalid_request", "forbidden", "unavailable"]) },
      },
    },
    async ({ query: { limit = defaultListLimit, cursor }, caller }) => {
      requireAdmin(caller);
      const { items, next } = await listKeysPage(context, { limit, ...(cursor !== undefined && { cursor }) });
      return pageOf(await resourcesOf(items), next);
    },
  );

  app.get(
    "/v1/keys/self",
    {
      schema: {
        tags,
        operationId: "getOwnKey",
        summary: "Get the API key of this call, with its limits and what is used of them",
        description: "Any key may read itself. A call without a key gets `not_found`.",
        response: { 200: Type.Ref("Key#"), ...errorResponses(["not_found", "unavailable"]) },
      },
    },
    async ({ caller: { keyId } }) => {
      const record = keyId === undefined ? undefined : (await findKeys(context, [keyId])).get(keyId);
      if (!record) throw new SluiceError("not_found", "The call was made without an API key.");
      return resourceOf(record);
    },
  );

  app.post(
    "/v1/keys/:key_id/revoke",
    {
      schema: {
        tags,
        operationId: "revokeKey",
        summary: "Revoke an API key",
        description:
          "Takes effect at once in this process and within seconds in others. Its jobs stay. Revoking twice is not an error.",
        params: Type.Object({ key_id: Type.String() }),
        response: {
          200: Type.Ref("Key#"),
          ...errorResponses(["forbidden", "not_found", "unavailable", "fate_unknown"]),
        },
      },
    },
    async ({ params, caller }) => {
      requireAdmin(caller);
      const record = await revokeKey(context, params.key_id, caller);
      await keys.note(record);
      return resourceOf(record);
    },
  );
}
