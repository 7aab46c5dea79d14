// Reads the Idempotency-Key header. See jobs/submit/idempotency.ts.
import type { FastifyRequest } from "fastify";
import Type from "typebox";
import { quote, SluiceError } from "../domain/errors.ts";
import { digestOf, type Once } from "../jobs/submit/idempotency.ts";
import { nativeHeaders } from "../jobs/submit/native-headers.ts";

/** The header for the `headers` of a route's schema. It only documents the header; `onceOf` checks it. */
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
 * Returns the request's Idempotency-Key with a digest of the request, or undefined without a key.
 * @param operation name of the operation; two operations never share a key
 * @throws SluiceError `invalid_request` for an invalid key
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
 * Like `onceOf`, for a synchronous call. The AWS SDKs send the same id with every attempt of a call, which counts as a
 * key.
 * @throws SluiceError as `onceOf`
 */
export function onceOfCall(request: Pick<FastifyRequest, "headers" | "body">, operation: string): Once | undefined {
  const once = onceOf(request, operation);
  const invocation = request.headers["amz-sdk-invocation-id"];
  if (once || typeof invocation !== "string" || !allowed.test(invocation)) return once;
  // No Idempotency-Key contains a line break.
  return { key: `amz-sdk-invocation-id\n${invocation}`, digest: digestOfRequest(request, operation) };
}

/** Includes the headers that change what is called or where. A repeated call has the same ones. */
function digestOfRequest({ headers, body }: Pick<FastifyRequest, "headers" | "body">, operation: string): string {
  const environment = headers["x-sluice-environment"];
  // Only calls in a provider's own format send headers on. Their body is the text that it was.
  const names = typeof body === "string" ? nativeHeaders : [];
  const sent = names.flatMap((name) => (headers[name] === undefined ? [] : [[name, headers[name]]]));
  return digestOf(operation, environment === undefined && sent.length === 0 ? body : [environment ?? null, sent, body]);
}
