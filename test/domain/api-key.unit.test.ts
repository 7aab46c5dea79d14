// API keys: their form, and what is stored of them.
import { expect, test } from "vitest";
import { newApiKey, parseApiKey, secretFits } from "../../src/domain/api-key.ts";

test("a key is recognisable, long enough to be unguessable, and new every time", () => {
  const keys = Array.from({ length: 200 }, () => newApiKey());
  for (const { id, text, hash, hint } of keys) {
    expect(text).toMatch(/^sk-sluice-[a-z0-9]{13}-[a-z0-9]{50}$/);
    expect(text.endsWith(hint)).toBe(true);
    expect(hint).toHaveLength(4);
    const { id: parsed, secret } = parseApiKey(text)!;
    expect(parsed).toBe(id);
    expect(hash).toMatch(/^[0-9a-f]{64}$/);
    expect(secretFits(secret, hash)).toBe(true);
    expect(hash).not.toContain(secret);
  }
  expect(new Set(keys.map((key) => key.text)).size).toBe(keys.length);
});

test("only the exact secret matches", () => {
  const { text, hash } = newApiKey();
  const { secret } = parseApiKey(text)!;
  const other = secret.slice(0, -1) + (secret.endsWith("a") ? "b" : "a");
  for (const wrong of [other, "", secret.toUpperCase(), `${secret}0`]) expect(secretFits(wrong, hash)).toBe(false);
  for (const broken of ["", "00", hash.slice(2), "z".repeat(64)]) expect(secretFits(secret, broken)).toBe(false);
});

test.each([
  "",
  "sk-sluice",
  "sk-sluice--",
  "sk-proj-abcdef",
  `sk-sluice-a-${"x".repeat(49)}`,
  `sk-sluice-a-${"x".repeat(51)}`,
  `sk-sluice-A-${"x".repeat(50)}`,
  ` sk-sluice-a-${"x".repeat(50)}`,
  `sk-sluice-a-${"x".repeat(50)}\n`,
  `sk-sluice-${"a".repeat(1_000_000)}-${"x".repeat(50)}`,
])("is no key: %.40s", (text) => expect(parseApiKey(text)).toBeUndefined());
