// Which addresses of the network the service may be sent to by a stranger. Only addresses that are public for sure: what
// is loopback, private, link-local (where clouds keep their metadata), shared, multicast or reserved is not, in whatever
// notation or inside of whatever IPv6 address it stands. An operator may allow networks by name. Pure.
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

/** Of 2000::/3, outside of which nothing is public: protocol assignments with Teredo, documentation, 6to4. */
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

  /** @param networks as `10.0.0.0/8` or `127.0.0.1`; see `parseNetwork` */
  constructor(networks: readonly string[]) {
    this.#none = networks.length === 0;
    for (const network of networks) {
      const parsed = parseNetwork(network);
      if (!parsed) throw new RangeError(`${network} is no network.`);
      this.#named.addSubnet(parsed.address.text, parsed.prefix, parsed.address.family);
    }
  }

  /** Whether there are any. */
  get some(): boolean {
    return !this.#none;
  }

  /** Whether the address is in a network that was named. False for what is no IP address. */
  has(address: string): boolean {
    const { text, family } = plain(address) ?? {};
    return text !== undefined && this.#named.check(text, family);
  }

  /** Whether the address may be connected to: it is public, or in a network that was named. */
  mayReach(address: string): boolean {
    return isPublic(address) || this.has(address);
  }
}

/** Whether the address is one of the public internet. False for what is no IP address. */
export function isPublic(address: string): boolean {
  const { text, family } = plain(address) ?? {};
  if (text === undefined) return false;
  if (family === "ipv6" && !global6.check(text, "ipv6")) return false;
  return !blocked.check(text, family);
}

/** A network such as 10.0.0.0/8 or fd00::/8, or a single address; undefined for anything else. */
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

/** IPv4 inside of IPv6 (mapped, or by the well-known prefix of NAT64) becomes what it means. */
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

/** The eight groups of an IPv6 address, in hexadecimal without leading zeros. */
function groupsOf(address: string): string[] {
  // The URL parser writes every notation in the one canonical way.
  const canonical = new URL(`http://[${address}]/`).hostname.slice(1, -1);
  const [before = [], after = []] = canonical
    .split("::")
    .map((part) => part.split(":").filter((group) => group !== ""));
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => "0");
  return [...before, ...zeros, ...after];
}

/** Whether a service that listens on this address is reached from this machine alone. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}
