// The header Idempotency-Key: see jobs/idempotency.ts.
import type { FastifyRequest } from "fastify";
import Type from "typebox";
import { quote, SluiceError } from "../domain/errors.ts";
import { digestOf, type Once } from "../jobs/submit/idempotency.ts";

/** For the `headers` of a route's schema: shows the header in the documentation. It is checked by `onceOf`. */
export const idempotencyHeaders = Type.Object({
  "idempotency-key": Type.Optional(
    Type.String({
      description:
        "A text that you choose, unique to this request. Within a day, the same body with the same key returns the same " +
        "job, batch or file instead of a second one. A different body returns 409 `idempotency_conflict`.",
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
    throw new SluiceError(
      "invalid_request",
      `Idempotency-Key must be 1 to 255 printable ASCII characters; got ${quote(String(key))}.`,
      {
        field: "Idempotency-Key",
      },
    );
  }
  return { key, digest: digestOfRequest(request, operation) };
}

/**
 * The same for a held call. The AWS SDKs send an id of their own with every try of a call, which counts as a key.
 * @throws SluiceError as `onceOf`
 */
export function onceOfHeldCall(request: Pick<FastifyRequest, "headers" | "body">, operation: string): Once | undefined {
  const once = onceOf(request, operation);
  const invocation = request.headers["amz-sdk-invocation-id"];
  if (once || typeof invocation !== "string" || !allowed.test(invocation)) return once;
  // No Idempotency-Key has a line break.
  return { key: `amz-sdk-invocation-id\n${invocation}`, digest: digestOfRequest(request, operation) };
}

function digestOfRequest({ headers, body }: Pick<FastifyRequest, "headers" | "body">, operation: string): string {
  const environment = headers["x-sluice-environment"];
  return digestOf(operation, environment === undefined ? body : [environment, body]);
}
