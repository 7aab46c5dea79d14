// The form of API keys: `sk-sluice-{id}-{secret}`. The id is public and names the record. The secret has 256 random
// bits, so it cannot be guessed and a plain SHA-256 protects it as well as a slower hash would.
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

const prefix = "sk-sluice-";
const form = /^sk-sluice-([a-z0-9]{1,20})-([a-z0-9]{50})$/;

/** A new API key, with the parts to show and to store. */
export interface ApiKey {
  id: string;
  /** The whole key, to be shown once. */
  text: string;
  /** Hash of the secret, to be stored. */
  hash: string;
  /** The last characters, by which a person recognizes the key. */
  hint: string;
}

/**
 * Makes a new key.
 * @param id id of the record. Default: a new one
 */
export function newApiKey(id: string = base36(8, 13)): ApiKey {
  const secret = base36(32, 50);
  return { id, text: `${prefix}${id}-${secret}`, hash: hashOf(secret), hint: secret.slice(-4) };
}

/** Returns whether a text was made as a key, even if it is damaged. */
export function looksLikeApiKey(text: string): boolean {
  return text.startsWith(prefix);
}

/** Splits a key into its parts. Returns undefined for a text of any length that is no key. */
export function parseApiKey(text: string): { id: string; secret: string } | undefined {
  if (text.length > 100) return undefined;
  const parts = form.exec(text);
  return parts ? { id: parts[1]!, secret: parts[2]! } : undefined;
}

/** Compares a secret with a hash in a time that does not depend on where they differ. */
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
