// The cookie that holds a session id of the dashboard. Scripts cannot read it, and browsers send it only with requests of
// the page's own site.
import type { FastifyReply, FastifyRequest } from "fastify";

/** Over TLS, the prefix `__Host-` keeps other hosts of the domain from setting the cookie. It requires `Secure`. */
const names = { tls: "__Host-sluice", plain: "sluice" };
const form = /^[A-Za-z0-9_-]{43}$/;

/** Returns whether the browser reached the service over TLS, as a proxy or the public address says. */
function isOverTls({ headers }: FastifyRequest, publicUrl: string | undefined): boolean {
  if (publicUrl !== undefined) return publicUrl.startsWith("https:");
  return headers["x-forwarded-proto"] === "https";
}

/**
 * Returns the session id of a request, or undefined if it has none. Over TLS, only the cookie with the prefix counts:
 * another host of the domain can set the other one.
 */
export function sessionIdOf(request: FastifyRequest, publicUrl: string | undefined): string | undefined {
  const expected = isOverTls(request, publicUrl) ? names.tls : names.plain;
  for (const part of request.headers.cookie?.split(";") ?? []) {
    const [name, value] = part.trim().split("=", 2);
    if (name === expected && value !== undefined && form.test(value)) return value;
  }
  return undefined;
}

/**
 * Sets the cookie, or removes it if `id` is undefined.
 * @param maxAgeS time after which the browser forgets the cookie, in seconds
 */
export function setSessionCookie(
  reply: FastifyReply,
  publicUrl: string | undefined,
  id: string | undefined,
  maxAgeS: number,
): void {
  const tls = isOverTls(reply.request, publicUrl);
  const name = tls ? names.tls : names.plain;
  const value = `${name}=${id ?? ""}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${id === undefined ? 0 : maxAgeS}`;
  reply.header("set-cookie", tls ? `${value}; Secure` : value);
}
