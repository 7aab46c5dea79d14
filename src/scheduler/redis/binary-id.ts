// Converts ids to bytes for the scripts and back. A UUID takes 16 bytes, because Redis holds the ids of a million
// waiting jobs twice. Any other id is its text, prefixed so that it cannot be mistaken for a UUID. Bytes compare as the
// texts do.
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const uuidBytes = 16;
/** Prefix of ids that are no UUIDs. Only the nil UUID is all zeros, and it is never longer than 16 bytes. */
const textPrefix = Buffer.alloc(uuidBytes);
/** Ends a text, so that no text is a prefix of another. */
const terminator = Buffer.alloc(1);

export function packId(id: string): Buffer {
  if (uuid.test(id)) return Buffer.from(id.replaceAll("-", ""), "hex");
  return Buffer.concat([textPrefix, Buffer.from(id), terminator]);
}

export function unpackId(bytes: Buffer): string {
  if (bytes.length !== uuidBytes) return bytes.toString("utf8", uuidBytes, bytes.length - 1);
  const hex = bytes.toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** Returns the number of 8 bytes that `packOrder` made. */
export function unpackOrder(packed: Buffer): number {
  const bytes = Buffer.from(packed);
  if (bytes[0]! & 0x80) bytes[0] = bytes[0]! & 0x7f;
  else for (let i = 0; i < 8; i++) bytes[i] = ~bytes[i]! & 0xff;
  return bytes.readDoubleBE();
}

/** Returns a number as 8 bytes that compare as the numbers do. */
export function packOrder(order: number): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeDoubleBE(order);
  // IEEE 754 doubles: setting the sign bit sorts positive numbers above negative ones, whose order is reversed.
  if (bytes[0]! & 0x80) for (let i = 0; i < 8; i++) bytes[i] = ~bytes[i]! & 0xff;
  else bytes[0] = bytes[0]! | 0x80;
  return bytes;
}
