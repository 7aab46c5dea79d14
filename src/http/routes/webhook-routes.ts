// Serves /v1/webhooks: the signing secret, and the deliveries.
import Type from "typebox";
import { isBatchId } from "../../domain/batch.ts";
import { quote, SluiceError } from "../../domain/errors.ts";
import { deliveryStatuses } from "../../domain/webhook.ts";
import type { JobsContext } from "../../jobs/jobs-context.ts";
import { redeliver, requireDelivery, searchDeliveries } from "../../jobs/webhooks/deliveries.ts";
import { rotateSecret, type TenantSecrets, tenantSecrets } from "../../jobs/webhooks/webhook-secrets.ts";
import { iso, nullable, time } from "../../wire/resource-types.ts";
import { deliveryResource } from "../../wire/webhook-resource.ts";
import { errorResponses } from "../error-responses.ts";
import type { HttpServer } from "../http-types.ts";
import { pageOf, pageQuery, pageSchema } from "../pages.ts";

const defaultPage = 20;

const secretSchema = Type.Object(
  {
    secret: Type.String({
      description: "The secret (whsec_...), for a library that implements the Standard Webhooks specification.",
    }),
    created_at: time("When it was created."),
    previous_signs_until: nullable(
      time("Until when webhooks are also signed with the previous secret. Null if there is none."),
    ),
  },
  { description: "The webhook secret of the caller's tenant." },
);

function secretResource({ current, previous }: TenantSecrets) {
  return {
    secret: current.secret,
    created_at: iso(current.createdAt),
    previous_signs_until: previous ? iso(previous.until) : null,
  };
}

export function webhookRoutes(app: HttpServer, context: JobsContext): void {
  const tags = ["webhooks"];
  const params = Type.Object({ delivery_id: Type.String() });

  app.get(
    "/v1/webhooks/secret",
    {
      config: { secret: true },
      schema: {
        tags,
        operationId: "getWebhookSecret",
        summary: "Get the tenant's webhook secret; the first call creates it",
        response: {
          200: secretSchema,
          ...errorResponses(["forbidden", "unavailable", "fate_unknown", "storage_full"]),
        },
      },
    },
    async ({ caller }, reply) => {
      reply.header("cache-control", "no-store");
      return secretResource(await tenantSecrets(context, caller.tenant));
    },
  );

  app.post(
    "/v1/webhooks/secret/rotate",
    {
      schema: {
        tags,
        operationId: "rotateWebhookSecret",
        summary: "Rotate the webhook secret",
        description:
          "For one day, webhooks carry both signatures, the new one first. Older secrets are no longer used.",
        response: { 200: secretSchema, ...errorResponses(["unavailable", "fate_unknown", "storage_full"]) },
      },
    },
    async ({ caller }, reply) => {
      reply.header("cache-control", "no-store");
      return secretResource(await rotateSecret(context, caller));
    },
  );

  app.get(
    "/v1/webhooks/deliveries",
    {
      schema: {
        tags,
        operationId: "listWebhookDeliveries",
        summary: "List deliveries, newest first",
        querystring: Type.Object(
          {
            job: Type.Optional(Type.String({ format: "uuid", description: "Deliveries for this job." })),
            batch: Type.Optional(Type.String({ maxLength: 200, description: "Deliveries for this batch." })),
            status: Type.Optional(Type.Enum([...deliveryStatuses])),
            ...pageQuery({ usual: defaultPage, max: 100 }, 200),
          },
          { additionalProperties: false },
        ),
        response: {
          200: pageSchema(
            Type.Ref("WebhookDelivery#"),
            "A page may have fewer deliveries than `limit` although more follow.",
          ),
          ...errorResponses(["invalid_request", "unavailable"]),
        },
      },
    },
    async ({ query: { job, batch, status, limit = defaultPage, cursor }, caller }) => {
      if (batch !== undefined && !isBatchId(batch)) throw wrong("batch", "the id of a batch", batch);
      if (cursor !== undefined && !/^delivery\/\d{16}\/msg_[0-9a-z_-]{1,60}$/.test(cursor)) {
        throw wrong("cursor", "next_cursor of the page before", cursor);
      }
      const { items, next } = await searchDeliveries(
        context,
        {
          limit,
          ...(job !== undefined && { jobId: job.toLowerCase() }),
          ...(batch !== undefined && { batchId: batch }),
          ...(status !== undefined && { status }),
          ...(cursor !== undefined && { cursor }),
        },
        caller,
      );
      return pageOf(
        items.map((item) => deliveryResource(item, caller)),
        next,
      );
    },
  );

  app.get(
    "/v1/webhooks/deliveries/:delivery_id",
    {
      schema: {
        tags,
        operationId: "getWebhookDelivery",
        summary: "Get a delivery and its attempts",
        params,
        response: {
          200: Type.Ref("WebhookDelivery#"),
          ...errorResponses(["delivery_not_found", "unavailable"]),
        },
      },
    },
    async ({ params: { delivery_id }, caller }) =>
      deliveryResource(await requireDelivery(context, delivery_id, caller), caller),
  );

  app.post(
    "/v1/webhooks/deliveries/:delivery_id/redeliver",
    {
      schema: {
        tags,
        operationId: "redeliverWebhook",
        summary: "Redeliver a webhook under the same webhook-id",
        description:
          "Redelivers whatever the earlier result was. The first attempt follows within seconds; retries continue for up to a day.",
        params,
        response: {
          200: Type.Ref("WebhookDelivery#"),
          ...errorResponses(["delivery_not_found", "conflict", "unavailable", "fate_unknown", "storage_full"]),
        },
      },
    },
    async ({ params: { delivery_id }, caller }) =>
      deliveryResource(await redeliver(context, delivery_id, caller), caller),
  );
}

function wrong(field: string, allowed: string, got: string): SluiceError {
  return new SluiceError("invalid_request", `${field} must be ${allowed}; got ${quote(got)}.`, { field });
}
