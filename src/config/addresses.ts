// Checks the addresses of Redis and MongoDB. Both may hold a password. Both clients answer an invalid address with an
// error that quotes it, or connect to a part of it. This module reports the mistake instead, with the password masked.
// Pure.
import { isIPv6 } from "node:net";
import { ConfigError } from "./config-problems.ts";
import { maskSecrets } from "./secret-hider.ts";

interface AddressForm {
  schemes: readonly string[];
  example: string;
  /** Whether the address may name several hosts, separated by commas. */
  manyHosts: boolean;
  /** What may follow the host. */
  path: RegExp;
  pathMeans: string;
}

const redis: AddressForm = {
  schemes: ["redis", "rediss"],
  example: "redis://user:password@host:6379/0",
  manyHosts: false,
  path: /^(\/\d{0,5})?$/,
  pathMeans: "the number of a database",
};

const mongo: AddressForm = {
  schemes: ["mongodb", "mongodb+srv"],
  example: "mongodb://user:password@host:27017,host2:27017/?replicaSet=rs0",
  manyHosts: true,
  path: /^(\/[^/\s"$.\\]{0,63})?$/,
  pathMeans: "the name of a database",
};

/**
 * Checks a Redis address.
 * @param name setting's name, for the message
 * @throws ConfigError if the address is not valid
 */
export function checkRedisUrl(name: string, address: string): void {
  check(name, address, redis);
}

/**
 * Checks a MongoDB address. The driver checks the options after the `?`.
 * @param name setting's name, for the message
 * @throws ConfigError if the address is not valid
 */
export function checkMongoUrl(name: string, address: string): void {
  check(name, address, mongo);
}

function check(name: string, address: string, form: AddressForm): void {
  const reason = mistakeIn(address, form);
  if (reason === undefined) return;
  throw new ConfigError(
    `${name} is not a valid address: ${reason}. Use an address such as ${form.example}, and percent-encode each of ` +
      `: / ? # [ ] @ % in the user name and the password (%3A %2F %3F %23 %5B %5D %40 %25). Got ${masked(address)}.`,
  );
}

function mistakeIn(address: string, form: AddressForm): string | undefined {
  const [, scheme, rest] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(address) ?? [];
  if (scheme === undefined || rest === undefined || !form.schemes.includes(scheme.toLowerCase())) {
    return `it must start with ${form.schemes.map((s) => `${s}://`).join(" or ")}`;
  }
  if (/[\s\p{C}]/u.test(rest)) return "it contains a space or a control character";
  if (rest.includes("#")) return "it contains a #";
  if (/%(?![0-9a-f]{2})/i.test(rest)) return "it contains a % that is not followed by two hexadecimal digits";
  const [, authority = "", path = "", query = ""] = /^([^/?]*)([^?]*)(.*)$/.exec(rest) ?? [];
  if (`${path}${query}`.includes("@")) return "its user name or password contains a / or ? that is not encoded";
  const at = authority.lastIndexOf("@");
  return (
    (at >= 0 ? mistakeInUser(authority.slice(0, at), form) : undefined) ??
    mistakeInHosts(authority.slice(at + 1), form, scheme.toLowerCase()) ??
    (form.path.test(path) ? undefined : `the part after the host must be ${form.pathMeans}`) ??
    (/^(\?([a-z][\w.]*=[^=?]*(&|$))*)?$/i.test(query)
      ? undefined
      : "the part after the ? must be options of the form name=value")
  );
}

function mistakeInUser(userInfo: string, form: AddressForm): string | undefined {
  const [, user = "", password = ""] = /^([^:]*):?(.*)$/.exec(userInfo) ?? [];
  if (/[@[\]]/.test(userInfo)) return "its user name or password contains an @, [ or ] that is not encoded";
  if (form === mongo && password.includes(":")) return "its password contains a : that is not encoded";
  if (form === mongo && user === "") return "it has an @ but no user name";
  try {
    decodeURIComponent(userInfo);
    return undefined;
  } catch {
    return "its user name or password does not decode to UTF-8";
  }
}

function mistakeInHosts(hosts: string, { manyHosts }: AddressForm, scheme: string): string | undefined {
  const all = hosts.split(",");
  const isService = scheme === "mongodb+srv";
  if (all.length > 1 && (!manyHosts || isService)) return "it names several hosts, but only one is allowed";
  for (const host of all) {
    // MongoDB accepts the path of a socket, percent-encoded.
    if (manyHosts && /^%2f[\w.%-]+\.sock$/i.test(host)) continue;
    const [, ipv6, name = "", port] = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]*))(?::(.*))?$/i.exec(host) ?? [];
    if (ipv6 === undefined && name === "") return "it names no host";
    if (ipv6 !== undefined ? !isIPv6(ipv6) : !/^[\p{L}\p{N}._-]+$/u.test(name))
      return "its host is not a name or an IP address";
    if (port === undefined) continue;
    if (isService) return "it has a port, which mongodb+srv:// does not allow";
    if (!/^\d{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65_535) {
      return "its port must be a number from 1 to 65535";
    }
  }
  return undefined;
}

/** Returns the scheme and what is certainly the host. Everything else may be a part of the password and is masked. */
function masked(address: string): string {
  const host = /^[\w.,:[\]-]*(\/\d*)?$/;
  const [, scheme = "", rest = ""] = /^((?:rediss?|mongodb|mongodb\+srv|https?):\/\/)?(.*)$/is.exec(address) ?? [];
  if (scheme === "") return "***";
  const at = rest.lastIndexOf("@");
  const tail = rest.slice(at + 1).replace(/\?.*$/s, "");
  if (at >= 0) return `${scheme}***@${host.test(tail) ? tail : "***"}`;
  const plain = `${scheme}${tail}`;
  return host.test(tail) && maskSecrets(plain) === plain ? plain : `${scheme}***`;
}
