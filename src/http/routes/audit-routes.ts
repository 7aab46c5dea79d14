// Serves GET /v1/audit, the log of changes, to admin keys.
import Type from "typebox";
import { quote, SluiceError } from "../../domain/errors.ts";
import { isAuditId } from "../../jobs/audit/audit-entry.ts";
import { listAudit } from "../../jobs/audit/read-audit.ts";
import type { JobsContext } from "../../jobs/jobs-context.ts";
import { requireAdmin } from "../../jobs/submit/policy.ts";
import { auditAction, auditResource } from "../../wire/audit-resource.ts";
import { time } from "../../wire/resource-types.ts";
import { errorResponses } from "../error-responses.ts";
import type { HttpServer } from "../http-types.ts";
import { pageOf, pageQuery, pageSchema } from "../pages.ts";

const defaultListLimit = 50;

const query = Type.Object(
  {
    action: Type.Optional(auditAction),
    key: Type.Optional(Type.String({ maxLength: 20, description: "Actions with the API key of this id." })),
    target: Type.Optional(Type.String({ maxLength: 500, description: "Actions on what has this id or name." })),
    from: Type.Optional(time("Actions at this time or later.")),
    to: Type.Optional(time("Actions before this time.")),
    ...pageQuery({ of: "entries", usual: defaultListLimit, max: 1000 }, 200),
  },
  { additionalProperties: false },
);

const page = pageSchema(
  Type.Ref("AuditEntry#"),
  "The entries, newest first. A page may have fewer than `limit` although more follow.",
);

export function auditRoutes(app: HttpServer, context: JobsContext): void {
  app.get(
    "/v1/audit",
    {
      schema: {
        tags: ["service"],
        operationId: "listAudit",
        summary: "List who changed what, newest first",
        description: "Requires an admin key. Keeps entries for 400 days.",
        querystring: query,
        response: { 200: page, ...errorResponses(["invalid_request", "forbidden", "unavailable"]) },
      },
    },
    async ({ query: { action, key, target, from, to, limit = defaultListLimit, cursor }, caller }) => {
      requireAdmin(caller);
      if (cursor !== undefined && !isAuditId(cursor)) {
        throw new SluiceError(
          "invalid_request",
          `cursor must be next_cursor of the previous page; got ${quote(cursor)}.`,
          { field: "cursor" },
        );
      }
      const { items, next } = await listAudit(context, {
        limit,
        ...(action !== undefined && { action }),
        ...(key !== undefined && { keyId: key }),
        ...(target !== undefined && { target }),
        ...(from !== undefined && { from: Date.parse(from) }),
        ...(to !== undefined && { to: Date.parse(to) }),
        ...(cursor !== undefined && { before: cursor }),
      });
      return pageOf(items.map(auditResource), next);
    },
  );
}
