// /v1/keys: API keys, for admin keys (and, while there is no key yet, for everybody on this machine).
import Type from "typebox";
import type { JobsContext } from "../../jobs/context.ts";
import { createKey, listKeys, revokeKey } from "../../jobs/keys/keys.ts";
import type { KeyRegistry } from "../../jobs/keys/registry.ts";
import { requireAdmin } from "../../jobs/policy.ts";
import { errorResponses } from "../errors.ts";
import { keyBody, keyInputOf, keyResource } from "../key-resource.ts";
import type { HttpServer } from "../types.ts";

export function keyRoutes(app: HttpServer, context: JobsContext, keys: KeyRegistry): void {
  const tags = ["keys"];

  app.post(
    "/v1/keys",
    {
      schema: {
        tags,
        operationId: "createKey",
        summary: "Create an API key; it is shown in this answer only",
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
      const { record, key } = await createKey(context, keyInputOf(body));
      await keys.refresh();
      reply.header("cache-control", "no-store");
      return keyResource(record, key.text);
    },
  );

  app.get(
    "/v1/keys",
    {
      schema: {
        tags,
        operationId: "listKeys",
        summary: "All API keys, without their secrets",
        response: {
          200: Type.Object({ data: Type.Array(Type.Ref("Key#")) }, { description: "In the order of their creation." }),
          ...errorResponses(["forbidden", "unavailable"]),
        },
      },
    },
    async ({ caller }) => {
      requireAdmin(caller);
      return { data: (await listKeys(context)).map((record) => keyResource(record)) };
    },
  );

  app.post(
    "/v1/keys/:key_id/revoke",
    {
      schema: {
        tags,
        operationId: "revokeKey",
        summary: "Revoke an API key",
        description: "Here at once, in other processes within seconds. Its jobs stay. Revoking twice is no error.",
        params: Type.Object({ key_id: Type.String() }),
        response: {
          200: Type.Ref("Key#"),
          ...errorResponses(["forbidden", "not_found", "unavailable", "fate_unknown"]),
        },
      },
    },
    async ({ params, caller }) => {
      requireAdmin(caller);
      const record = await revokeKey(context, params.key_id);
      await keys.refresh();
      return keyResource(record);
    },
  );
}
