// Defines the resource of an entry of the audit log.
import Type, { type Static } from "typebox";
import { errorTable } from "../domain/errors.ts";
import { type AuditDetails, type AuditEntry, actorKinds, auditActions } from "../jobs/audit/audit-entry.ts";
import { iso, nullable, time } from "./resource-types.ts";

export const auditAction = Type.Enum([...auditActions]);

const actor = Type.Object({
  kind: Type.Enum([...actorKinds], {
    description:
      "`key`: a caller with an API key. `no_key`: a caller of a service without keys. `command`: a command that opened the store. `service`: the service, at its start or by a signal.",
  }),
  key_id: nullable(Type.String()),
  key_name: nullable(Type.String({ description: "The name of the key." })),
  tenant: nullable(Type.String()),
  admin: Type.Boolean({ description: "Whether the key is an admin key." }),
  address: nullable(Type.String({ description: "IP address of the client or of the last proxy." })),
});

export const auditEntrySchema = Type.Object(
  {
    id: Type.String(),
    at: time("When the action ended."),
    action: auditAction,
    actor,
    target: nullable(
      Type.Object(
        { type: Type.String(), id: Type.String() },
        { description: "Null if the action was about everything that matches `details`." },
      ),
    ),
    details: Type.Unsafe<AuditDetails>({
      type: "object",
      additionalProperties: true,
      description:
        "What the action was given, such as a filter or the reason of a pause. Never prompts, answers, values of labels or secrets.",
    }),
    count: nullable(Type.Integer({ description: "Number of changed jobs, for an action on many." })),
    result: Type.Enum(["ok", ...Object.keys(errorTable)], {
      description: "`ok`, or the code of the error. After an error, the action may have had an effect.",
    }),
  },
  { $id: "AuditEntry" },
);

/** Returns an entry as the API shows it. */
export function auditResource(entry: AuditEntry): Static<typeof auditEntrySchema> {
  const { kind, keyId = null, keyName = null, tenant = null, admin = false, address = null } = entry.actor;
  return {
    id: entry.id,
    at: iso(entry.at),
    action: entry.action,
    actor: { kind, key_id: keyId, key_name: keyName, tenant, admin, address },
    target: entry.target ?? null,
    details: entry.details ?? {},
    count: entry.count ?? null,
    result: entry.result,
  };
}
