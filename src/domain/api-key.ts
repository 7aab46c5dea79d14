// What an API key looks like: `sk-sluice-{id}-{secret}`. The id is public and names the record; the secret has 256 random
// bits, so a plain SHA-256 is enough to keep: there is nothing to guess that a slower hash would protect.
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

const prefix = "sk-sluice-";
const form = /^sk-sluice-([a-z0-9]{1,20})-([a-z0-9]{50})$/;

export interface ApiKey {
  id: string;
  /** The whole key, to be shown once. */
  text: string;
  /** What is kept of the secret. */
  hash: string;
  /** The last characters, by which a person finds the key again. */
  hint: string;
}

/** @param id of the record; a new one if absent */
export function newApiKey(id: string = base36(8, 13)): ApiKey {
  const secret = base36(32, 50);
  return { id, text: `${prefix}${id}-${secret}`, hash: hashOf(secret), hint: secret.slice(-4) };
}

/** Undefined for a text that is no key, whatever its length. */
export function parseApiKey(text: string): { id: string; secret: string } | undefined {
  if (text.length > 100) return undefined;
  const parts = form.exec(text);
  return parts ? { id: parts[1]!, secret: parts[2]! } : undefined;
}

/** In a time that does not depend on where the hashes differ. */
export function secretFits(secret: string, hash: string): boolean {
  const [ours, theirs] = [Buffer.from(hash, "hex"), Buffer.from(hashOf(secret), "hex")];
  return ours.length === theirs.length && timingSafeEqual(ours, theirs);
}

function hashOf(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}

function base36(bytes: number, length: number): string {
  return BigInt(`0x${randomBytes(bytes).toString("hex")}`)
    .toString(36)
    .padStart(length, "0");
}
