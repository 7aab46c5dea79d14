// Decides which network addresses the service may call for a stranger. Only public addresses are allowed. Loopback,
// private, link-local (where clouds keep their metadata), shared, multicast and reserved addresses are not, in any
// notation or embedded in an IPv6 address. An operator may allow networks by name. Pure.
import { BlockList, isIP, isIPv4 } from "node:net";

/** IANA's special-purpose registry of IPv4, and multicast. */
const notPublic4 = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
] as const;

/**
 * Non-public parts of 2000::/3: protocol assignments with Teredo, documentation, 6to4. Nothing outside 2000::/3 is
 * public.
 */
const notPublic6 = [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
] as const;

const blocked = new BlockList();
for (const [network, prefix] of notPublic4) blocked.addSubnet(network, prefix, "ipv4");
for (const [network, prefix] of notPublic6) blocked.addSubnet(network, prefix, "ipv6");
const global6 = new BlockList();
global6.addSubnet("2000::", 3, "ipv6");

type Address = { text: string; family: "ipv4" | "ipv6" };

/** Networks that are allowed although they are not public. */
export class AllowedNetworks {
  readonly #named = new BlockList();
  readonly #none: boolean;

  /**
   * Creates a set of allowed networks.
   * @param networks such as `10.0.0.0/8` or `127.0.0.1`; see `parseNetwork`
   * @throws RangeError for a text that is not a network
   */
  constructor(networks: readonly string[]) {
    this.#none = networks.length === 0;
    for (const network of networks) {
      const parsed = parseNetwork(network);
      if (!parsed)
        throw new RangeError(`${network} is not a network. Use an address, or a network such as 10.0.0.0/8.`);
      this.#named.addSubnet(parsed.address.text, parsed.prefix, parsed.address.family);
    }
  }

  /** Whether any network is allowed. */
  get some(): boolean {
    return !this.#none;
  }

  /** Whether the address is in an allowed network. False for a text that is no IP address. */
  has(address: string): boolean {
    const { text, family } = plain(address) ?? {};
    return text !== undefined && this.#named.check(text, family);
  }

  /** Whether the service may connect to the address: it is public or in an allowed network. */
  mayReach(address: string): boolean {
    return isPublic(address) || this.has(address);
  }
}

/** Whether the address belongs to the public internet. False for a text that is no IP address. */
export function isPublic(address: string): boolean {
  const { text, family } = plain(address) ?? {};
  if (text === undefined) return false;
  if (family === "ipv6" && !global6.check(text, "ipv6")) return false;
  return !blocked.check(text, family);
}

/** Parses a network such as 10.0.0.0/8 or fd00::/8, or a single address. Returns undefined for anything else. */
export function parseNetwork(text: string): { address: Address; prefix: number } | undefined {
  const [head = "", digits, ...rest] = text.split("/");
  const family = isIP(head);
  if (family === 0 || head.includes("%") || rest.length > 0) return undefined;
  const longest = family === 4 ? 32 : 128;
  if (digits !== undefined && !/^\d{1,3}$/.test(digits)) return undefined;
  const prefix = digits === undefined ? longest : Number(digits);
  if (prefix > longest) return undefined;
  return { address: { text: head, family: family === 4 ? "ipv4" : "ipv6" }, prefix };
}

/** Converts IPv4 inside IPv6 (mapped, or with NAT64's well-known prefix) to IPv4. */
function plain(address: string): Address | undefined {
  if (isIPv4(address)) return { text: address, family: "ipv4" };
  // A zone names an interface of this machine.
  if (isIP(address) !== 6 || address.includes("%")) return undefined;
  const groups = groupsOf(address);
  const prefix = groups.slice(0, 6).join(":");
  if (prefix !== "0:0:0:0:0:ffff" && prefix !== "64:ff9b:0:0:0:0") return { text: address, family: "ipv6" };
  const bytes = groups.slice(6).flatMap((group) => {
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
  return { text: bytes.join("."), family: "ipv4" };
}

/** Returns the eight groups of an IPv6 address, in hexadecimal without leading zeros. */
function groupsOf(address: string): string[] {
  // The URL parser converts every notation to the canonical one.
  const canonical = new URL(`http://[${address}]/`).hostname.slice(1, -1);
  const [before = [], after = []] = canonical
    .split("::")
    .map((part) => part.split(":").filter((group) => group !== ""));
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => "0");
  return [...before, ...zeros, ...after];
}

/** Whether only this machine can reach a service that listens on this address. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}
