// Which addresses are public. Every notation of a non-public address must be recognized.
import { isIP } from "node:net";
import fc from "fast-check";
import { expect, test } from "vitest";
import { AllowedNetworks, isPublic, parseNetwork } from "../../src/domain/networks.ts";

const notPublic = [
  ...["0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.0.9"],
  ...["169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1"],
  ...["192.168.1.1", "198.18.0.1", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.1.1.1", "240.0.0.1"],
  ...["255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:10.1.2.3"],
  ...["0:0:0:0:0:ffff:a9fe:a9fe", "64:ff9b::127.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::8.8.8.8", "fe80::1", "febf::1"],
  ...[
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "2001::1",
    "2001:0:4136:e378::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "3fff::1",
  ],
  ...["100::1", "fec0::1", "4000::1", "fe80::1%eth0", "", "localhost", "1.2.3", "127.1"],
];
const open = [
  ...["1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.1", "198.20.0.1"],
  ...["223.255.255.255", "2600::1", "2a00:1450:4001::1", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808"],
];

test.each(notPublic)("%j is not public", (address) => expect(isPublic(address)).toBe(false));
test.each(open)("%j is public", (address) => expect(isPublic(address)).toBe(true));

test("IPv4 is treated the same by itself, mapped and behind NAT64", () => {
  fc.assert(
    fc.property(fc.ipV4(), (address) => {
      const bytes = address.split(".").map(Number);
      const hex = [bytes[0]! * 256 + bytes[1]!, bytes[2]! * 256 + bytes[3]!].map((n) => n.toString(16)).join(":");
      const forms = [`::ffff:${address}`, `::ffff:${hex}`, `0:0:0:0:0:FFFF:${hex}`, `64:ff9b::${hex}`];
      expect(new Set([address, ...forms].map(isPublic)).size).toBe(1);
    }),
  );
});

test("any text has an answer, and only addresses are ever public", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.ipV6(), fc.ipV4Extended()), (text) => {
      expect(isPublic(text) && isIP(text) === 0).toBe(false);
    }),
  );
});

test("named networks are allowed, in every notation, and nothing else", () => {
  const networks = new AllowedNetworks(["10.1.0.0/16", "127.0.0.1", "fd00::/8"]);
  for (const address of ["10.1.2.3", "::ffff:10.1.2.3", "127.0.0.1", "fd12::1"]) {
    expect(networks.has(address), address).toBe(true);
    expect(networks.mayReach(address), address).toBe(true);
  }
  for (const address of ["10.2.0.1", "127.0.0.2", "fe80::1", "fd12::1%lo"]) {
    expect(networks.mayReach(address), address).toBe(false);
  }
  expect(networks.has("8.8.8.8")).toBe(false);
  expect(networks.mayReach("8.8.8.8")).toBe(true);
  expect([networks.some, new AllowedNetworks([]).some]).toEqual([true, false]);
});

test.each([
  "10.0.0.0/33",
  "10.0.0/8",
  "x",
  "",
  "::/129",
  "10.0.0.0/8/8",
  "10.0.0.0/",
  "fe80::1%lo/64",
  "0x7f.1",
  "1/-1",
])("%j is no network", (text) => expect(parseNetwork(text)).toBeUndefined());
