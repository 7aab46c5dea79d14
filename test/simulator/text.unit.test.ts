import { readFileSync } from "node:fs";
import fc from "fast-check";
import { countTokens as countReal } from "gpt-tokenizer/encoding/cl100k_base";
import { describe, expect, test } from "vitest";
import { countTokens, splitByTokens, synthesize, syntheticMark } from "../../src/simulator/text.ts";

const request = {
  prompt: "Name three rivers.",
  input: "Name three rivers.",
  seed: 1,
  length: [40, 160] as const,
  maxTokens: 1_000,
  stopSequences: [],
};

describe("tokens", () => {
  test.each([
    ["", 0],
    ["  \n ", 0],
    ["one", 1],
    [" one  two\nthree ", 3],
    ["x".repeat(16), 1],
    ["x".repeat(17), 2],
  ])("%j are %i", (text, tokens) => {
    expect(countTokens(text)).toBe(tokens);
  });

  test("are never more than a real tokenizer counts for ordinary text", () => {
    for (const file of ["LICENSE", "src/simulator/bodies.ts", "package.json"]) {
      const text = readFileSync(file, "utf8");
      for (let at = 0; at < text.length; at += 500) {
        const piece = text.slice(at, at + 500);
        expect(countTokens(piece)).toBeLessThanOrEqual(countReal(piece));
      }
    }
  });

  test("cut a text into pieces that concatenate to the text", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom(" ", "\n", "x".repeat(40)))),
        fc.integer({ min: 1, max: 7 }),
        (parts, size) => {
          const text = parts.join("");
          const pieces = splitByTokens(text, size);
          expect(pieces.join("")).toBe(text);
          // No cut within a character: each piece survives UTF-8 if the text does.
          if (isWellFormed(text)) for (const piece of pieces) expect(isWellFormed(piece)).toBe(true);
          const tokens = countTokens(text);
          expect(pieces).toHaveLength(text === "" ? 0 : Math.max(1, Math.ceil(tokens / size)));
        },
      ),
    );
  });
});

describe("answers", () => {
  test("say that they are synthetic and quote the prompt", () => {
    const { text } = synthesize(request);
    expect(text.startsWith(syntheticMark)).toBe(true);
    expect(text).toContain('You wrote 3 words, beginning "Name three rivers."');
  });

  test("depend on the input and the seed only", () => {
    expect(synthesize(request)).toEqual(synthesize({ ...request }));
    expect(synthesize({ ...request, seed: 2 }).text).not.toBe(synthesize(request).text);
    expect(synthesize({ ...request, input: "earlier turn" }).text).not.toBe(synthesize(request).text);
  });

  test("are cut one token below their length, and whole at it", () => {
    const { tokens, text } = synthesize(request);
    expect(synthesize({ ...request, maxTokens: tokens })).toMatchObject({ text, stopReason: "end_turn" });
    const cut = synthesize({ ...request, maxTokens: tokens - 1 });
    expect(cut).toMatchObject({ tokens: tokens - 1, stopReason: "max_tokens" });
  });

  test("keep within max_tokens, count correctly, and end at the first stop sequence", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "grapheme", maxLength: 200 }),
        fc.integer({ min: 1, max: 200 }),
        fc.array(fc.constantFrom("words", "wa", " ", "synthetic", "river"), { maxLength: 2 }),
        (prompt, maxTokens, stopSequences) => {
          const whole = synthesize({ ...request, prompt, input: prompt });
          expect(whole.tokens).toBe(countTokens(whole.text));
          const answer = synthesize({ ...request, prompt, input: prompt, maxTokens, stopSequences });
          expect(whole.text.startsWith(answer.text)).toBe(true);
          expect(answer.tokens).toBe(countTokens(answer.text));
          expect(answer.tokens).toBeLessThanOrEqual(maxTokens);
          for (const stop of stopSequences) expect(answer.text).not.toContain(stop);
          if (answer.text === whole.text) expect(answer.stopReason).toBe("end_turn");
          if (answer.stopReason === "max_tokens") expect(answer.tokens).toBe(maxTokens);
          if (answer.stopReason === "stop_sequence") {
            expect(stopSequences.some((stop) => whole.text.startsWith(answer.text + stop))).toBe(true);
          }
        },
      ),
    );
  });
});

function isWellFormed(text: string): boolean {
  return Buffer.from(text).toString() === text;
}
