// The header Idempotency-Key: see jobs/idempotency.ts.
import type { FastifyRequest } from "fastify";
import Type from "typebox";
import { SluiceError } from "../domain/errors.ts";
import { digestOf, type Once } from "../jobs/idempotency.ts";

/** For the `headers` of a route's schema: shows the header in the documentation. It is checked by `onceOf`. */
export const idempotencyHeaders = Type.Object({
  "idempotency-key": Type.Optional(
    Type.String({
      description:
        "Text of your own, unique to this request. Sending the same body again under it, within a day, gives the same " +
        "job, batch or file instead of a second one; another body gives 409 `idempotency_conflict`.",
    }),
  ),
});

const allowed = /^[\x20-\x7e]{1,255}$/;

/**
 * What the request says about being done once; undefined if it says nothing.
 * @param operation two operations never share a key
 * @throws SluiceError `invalid_request` for a key that is none
 */
export function onceOf(request: Pick<FastifyRequest, "headers" | "body">, operation: string): Once | undefined {
  const key = request.headers["idempotency-key"];
  if (key === undefined) return undefined;
  if (typeof key !== "string" || !allowed.test(key)) {
    throw new SluiceError("invalid_request", "Idempotency-Key must be 1 to 255 printable ASCII characters.", {
      field: "Idempotency-Key",
    });
  }
  const environment = request.headers["x-sluice-environment"];
  return { key, digest: digestOf(operation, environment === undefined ? request.body : [environment, request.body]) };
}
