// Parses the `host[:port]` of a Host or Origin header, and rejects every notation that browsers never send.
import { isIPv4, isIPv6 } from "node:net";

export interface Authority {
  /** The host in lower case, without the brackets of IPv6. */
  host: string;
  /** The port. Absent if the text names none. */
  port?: number;
}

const label = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?";
const form = new RegExp(`^(?:\\[([0-9a-f:.]+)\\]|(${label}(?:\\.${label})*))(?::([0-9]{1,5}))?$`);

/**
 * Parses an authority strictly. Returns undefined for user names, zones, trailing dots, empty or impossible ports, and
 * for IPv4 in any notation but four decimal numbers.
 */
export function parseAuthority(text: string): Authority | undefined {
  const [, ipv6, name, digits] = form.exec(text.toLowerCase()) ?? [];
  const host = ipv6 ?? name;
  if (host === undefined || text.length > 300) return undefined;
  if (ipv6 !== undefined && !isIPv6(ipv6)) return undefined;
  // Browsers read a name whose last label is a number as an IPv4 address, such as 127.1 or 0x7f000001.
  if (name !== undefined && /(?:^|\.)(?:\d+|0x[0-9a-f]*)$/.test(name) && !isIPv4(name)) return undefined;
  if (digits === undefined) return { host };
  const port = Number(digits);
  return port >= 1 && port <= 65_535 ? { host, port } : undefined;
}

/**
 * Parses an Origin header into scheme, host and port. Returns undefined for `null` and for schemes other than http and
 * https.
 */
function parseOrigin(text: string): Required<Authority> | undefined {
  const [, scheme, rest = ""] = /^(https?):\/\/(.+)$/i.exec(text) ?? [];
  const authority = scheme === undefined ? undefined : parseAuthority(rest);
  return authority && { port: defaultPort(scheme!), ...authority };
}

/**
 * Returns whether an Origin belongs to pages of this Host. A Host without a port has the default port of the scheme.
 */
export function isSameOrigin(origin: string, host: Authority): boolean {
  const page = parseOrigin(origin);
  const scheme = /^https:/i.test(origin) ? "https" : "http";
  return page !== undefined && page.host === host.host && page.port === (host.port ?? defaultPort(scheme));
}

function defaultPort(scheme: string): number {
  return scheme.toLowerCase() === "https" ? 443 : 80;
}
