import { resolve } from "node:path";
import { expect, test } from "vitest";

const script: string = resolve(import.meta.dirname, "../../scripts/check-phrases.mjs");
const { findPhrases } = await import(script);

test("finds phrases in any case, with the line and a suggestion", () => {
  expect(findPhrases("A job waits.\nWhoever submits it, nobody waits for it.\n")).toEqual([
    { line: 2, phrase: "Whoever", suggestion: expect.stringContaining("name who it is") },
    { line: 2, phrase: "nobody", suggestion: expect.stringContaining("name who it is") },
  ]);
});

test("finds a phrase that goes on in the next line of a comment", () => {
  for (const text of [
    "// It waits for\n  // ever.",
    "/**\n * It waits for\n * ever.\n */",
    "-- It waits for\n-- ever.",
  ]) {
    expect(findPhrases(text)).toMatchObject([{ phrase: "for ever" }]);
  }
});

test("passes other words that hold the same letters, and quoted text", () => {
  expect(
    findPhrases("forever, everyone, nobodyListens; made really fast, handmade real toys; the answer is awaited"),
  ).toEqual([]);
  expect(findPhrases("It says 'nobody is here'.", ["nobody is here"])).toEqual([]);
});
