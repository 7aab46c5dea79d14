// Where the browser sees the service: below the path of the public address, or below the path that a proxy names.
import type { FastifyRequest } from "fastify";

const pathForm = /^(?:\/[A-Za-z0-9._~-]+)*$/;

/** Returns the path before /ui, without a slash at its end. A prefix that is no plain path is ignored. */
export function prefixOf({ headers }: FastifyRequest, publicUrl: string | undefined): string {
  const named = publicUrl === undefined ? headers["x-forwarded-prefix"] : new URL(publicUrl).pathname;
  const path = typeof named === "string" ? named.replace(/\/+$/, "") : "";
  return path.length <= 200 && pathForm.test(path) ? path : "";
}
