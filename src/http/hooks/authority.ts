// Reads `host[:port]` as a Host header or an Origin carries it, and refuses every notation that a browser never sends.
import { isIPv4, isIPv6 } from "node:net";

export interface Authority {
  /** In lower case, without the brackets of IPv6. */
  host: string;
  /** Absent where the text names none. */
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
  // A name whose last label is a number is an IPv4 address to a browser, such as 127.1 or 0x7f000001.
  if (name !== undefined && /(?:^|\.)(?:\d+|0x[0-9a-f]*)$/.test(name) && !isIPv4(name)) return undefined;
  if (digits === undefined) return { host };
  const port = Number(digits);
  return port >= 1 && port <= 65_535 ? { host, port } : undefined;
}

/** Reads an Origin header: scheme, host and port. Returns undefined for `null` and anything but http and https. */
function parseOrigin(text: string): Required<Authority> | undefined {
  const [, scheme, rest = ""] = /^(https?):\/\/(.+)$/i.exec(text) ?? [];
  const authority = scheme === undefined ? undefined : parseAuthority(rest);
  return authority && { port: defaultPort(scheme!), ...authority };
}

/** Whether an Origin is the one that pages of this Host have. A Host without a port has the default port of the scheme. */
export function isSameOrigin(origin: string, host: Authority): boolean {
  const page = parseOrigin(origin);
  const scheme = /^https:/i.test(origin) ? "https" : "http";
  return page !== undefined && page.host === host.host && page.port === (host.port ?? defaultPort(scheme));
}

function defaultPort(scheme: string): number {
  return scheme.toLowerCase() === "https" ? 443 : 80;
}
