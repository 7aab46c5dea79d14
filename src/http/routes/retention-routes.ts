// Serves GET /v1/retention: the size of the store, and what retention has removed.
import Type from "typebox";
import { retentionKinds } from "../../config/settings.ts";
import type { JobsContext } from "../../jobs/jobs-context.ts";
import { readRetention } from "../../jobs/retention/retention-report.ts";
import { requireAdmin } from "../../jobs/submit/policy.ts";
import { iso, nullable, time } from "../../wire/resource-types.ts";
import { errorResponses } from "../error-responses.ts";
import type { HttpServer } from "../http-types.ts";

const byKind = (description: string) =>
  Type.Object(Object.fromEntries(retentionKinds.map((kind) => [kind, Type.Optional(Type.Number())])), { description });

const lastRound = Type.Object({
  environment: Type.String(),
  finished_at: time("End of the round."),
  removed: byKind("How many of each kind the round removed."),
  late_seconds: byKind("How long the first job that is due has been due. 0 if none is due."),
  error: nullable(Type.String({ description: "Why something was not removed. null if the round did not fail." })),
});

export function retentionRoutes(app: HttpServer, context: JobsContext): void {
  app.get(
    "/v1/retention",
    {
      schema: {
        tags: ["service"],
        operationId: "getRetention",
        summary: "Get the size of the store and the last rounds of retention",
        response: {
          200: Type.Object({
            store_bytes: Type.Integer({ description: "Bytes on disk: databases, logs and files." }),
            free_bytes: Type.Integer({
              description: "The part of store_bytes that is free and is used again before the store grows.",
            }),
            fixed_databases: Type.Array(Type.String(), {
              description: "Databases whose files cannot shrink until `sluice compact` has rewritten them.",
            }),
            keeps_all: Type.Boolean({ description: "True if no age limits anything except deliveries." }),
            rounds: Type.Array(lastRound, { description: "The last round in each environment that had one." }),
          }),
          ...errorResponses(["forbidden", "unavailable"]),
        },
      },
    },
    async ({ caller }) => {
      requireAdmin(caller);
      const { bytes, freeBytes, fixed, keepsAll, rounds } = await readRetention(context);
      return {
        store_bytes: bytes,
        free_bytes: freeBytes,
        fixed_databases: fixed,
        keeps_all: keepsAll,
        rounds: Object.entries(rounds).map(([environment, { at, removed, lateMs, error }]) => ({
          environment,
          finished_at: iso(at),
          removed,
          late_seconds: Object.fromEntries(Object.entries(lateMs).map(([kind, ms]) => [kind, ms / 1000])),
          error: error ?? null,
        })),
      };
    },
  );
}
