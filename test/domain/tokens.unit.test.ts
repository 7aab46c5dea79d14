// The estimate of tokens, compared with the real tokenizer.
import fc from "fast-check";
import { countTokens } from "gpt-tokenizer/encoding/cl100k_base";
import { expect, test } from "vitest";
import type { CanonicalRequest } from "../../src/domain/request.ts";
import { countInput, estimateInput, estimateTokens } from "../../src/domain/tokens.ts";

/** Counts in slices, like the exact count. */
function count(text: string): number {
  let tokens = 0;
  for (let i = 0; i < text.length; i += 1024) {
    tokens += countTokens(text.slice(i, i + 1024), { disallowedSpecial: new Set() });
  }
  return tokens;
}

/** Text that is the same on every run. */
function generate(length: number, alphabet: string): string {
  let state = 12345;
  return Array.from({ length }, () => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return alphabet[Math.floor((state / 2147483648) * alphabet.length)];
  }).join("");
}

const lower = "abcdefghijklmnopqrstuvwxyz";
const letters = lower + lower.toUpperCase();

test.each([
  {
    of: "English",
    text: "Janet sells the remainder of the eggs at the farmers' market every day for $2 each. How much does she make?",
    atMost: 1.4,
  },
  {
    of: "German",
    text: "Am nächsten Morgen fuhren die Kinder mit ihren Großeltern in die Stadt, um neue Schuhe für den Winter zu kaufen.",
    atMost: 1.4,
  },
  {
    of: "Russian",
    text: "На следующее утро дети поехали с бабушкой и дедушкой в город, чтобы купить новую обувь на зиму.",
    atMost: 1.4,
  },
  {
    of: "Chinese",
    text: "第二天早上，孩子们和爷爷奶奶一起进城，为冬天买了新鞋子。他们还吃了很多好吃的东西。",
    atMost: 1.6,
  },
  { of: "Japanese", text: "翌朝、子供たちは祖父母と一緒に街へ行き、冬のための新しい靴を買いました。", atMost: 1.5 },
  { of: "Thai", text: "เช้าวันรุ่งขึ้น เด็กๆ ไปในเมืองกับปู่ย่าเพื่อซื้อรองเท้าใหม่สำหรับฤดูหนาว", atMost: 1.4 },
  { of: "Bengali", text: "পরের দিন সকালে শিশুরা তাদের দাদা-দাদির সাথে শীতের জন্য নতুন জুতো কিনতে শহরে গিয়েছিল।", atMost: 1.4 },
  {
    of: "code",
    text: "export function add(a: number, b: number): number {\n  // Sums two numbers.\n  return a + b;\n}\n".repeat(5),
    atMost: 1.7,
  },
  {
    of: "JSON",
    text: JSON.stringify({
      id: 12345,
      name: "Widget",
      tags: ["red", "blue"],
      price: { amount: 9.99, currency: "USD" },
    }),
    atMost: 1.7,
  },
  { of: "base64", text: generate(3_000, `${letters}0123456789+/`), atMost: 1.2 },
  { of: "hex", text: generate(3_000, "0123456789abcdef"), atMost: 1.2 },
  { of: "random letters", text: generate(3_000, lower), atMost: 1.2 },
  { of: "digits", text: generate(3_000, "0123456789"), atMost: 1.1 },
  { of: "punctuation", text: generate(3_000, "!@#$%^&*()_+-=[]{}|;:,.<>/?~"), atMost: 1.3 },
  { of: "emoji", text: "😀🎉🚀👍🔥✨🙏😂".repeat(50), atMost: 1.6 },
  { of: "control characters", text: generate(1_000, "\u0000\u0001\u0007\u001b\u007f"), atMost: 1.3 },
])("$of is not counted too low, nor far too high", ({ text, atMost }) => {
  const ratio = estimateTokens(text) / count(text);
  expect(ratio).toBeGreaterThanOrEqual(1);
  expect(ratio).toBeLessThanOrEqual(atMost);
});

test("no ASCII character, and no run of it, is counted too low", () => {
  for (let code = 0; code < 128; code++) {
    expect(estimateTokens(String.fromCharCode(code))).toBeGreaterThanOrEqual(1);
    const run = String.fromCharCode(code).repeat(1_000);
    expect(estimateTokens(run), JSON.stringify(run[0])).toBeGreaterThanOrEqual(count(run));
  }
});

const texts = fc.oneof(
  fc.string({ unit: "binary", maxLength: 200 }),
  fc.string({ unit: "grapheme-ascii", maxLength: 200 }),
  fc.string({ unit: fc.constantFrom("a", "A", "1", " ", "\n", ".", "é", "中", "😀"), maxLength: 200 }),
);

test("a text never counts 0, nor more than its bytes", () => {
  expect(estimateTokens("")).toBe(0);
  fc.assert(
    fc.property(texts, (text) => {
      const estimate = estimateTokens(text);
      expect(Number.isInteger(estimate)).toBe(true);
      expect(estimate).toBeGreaterThanOrEqual(text === "" ? 0 : 1);
      expect(estimate).toBeLessThanOrEqual(Buffer.byteLength(text) * 2);
    }),
  );
});

test("a longer text never costs less, and two texts joined cost as much as apart, except for the seam", () => {
  fc.assert(
    fc.property(texts, texts, (one, other) => {
      const [first, second, both] = [one, other, one + other].map(estimateTokens) as [number, number, number];
      expect(both).toBeGreaterThanOrEqual(first);
      expect(Math.abs(both - first - second)).toBeLessThanOrEqual(3);
    }),
  );
});

test("a text twice as long costs twice as much, whatever it consists of", () => {
  for (const piece of ["a", "中", "(", " ", "a1", "Aa", "\n", "word "]) {
    const n = 10_000;
    const ratio = estimateTokens(piece.repeat(2 * n)) / estimateTokens(piece.repeat(n));
    expect(ratio).toBeGreaterThan(1.99);
    expect(ratio).toBeLessThan(2.01);
  }
});

const request: CanonicalRequest = {
  messages: [
    { role: "user", content: [{ type: "text", text: "ab" }] },
    { role: "assistant", content: [{ type: "tool_call", id: "c1", name: "n", arguments: '{"x":1}' }] },
    { role: "user", content: [{ type: "tool_result", callId: "c1", text: "abc" }] },
  ],
  system: "abcd",
  tools: [{ name: "n", inputSchema: {} }],
  parameters: { maxTokens: 1 },
};

test("a request costs its contents, its tools as JSON, and the template", () => {
  const length = (text: string) => text.length;
  const contents = 2 + '{"name":"n","parameters":{"x":1}}'.length + 3 + 4 + JSON.stringify(request.tools).length;
  expect(countInput(request, length)).toBe(contents + 1 + 4 * 5 + 4);
  expect(countInput({ messages: request.messages.slice(0, 1), parameters: { maxTokens: 1 } }, length)).toBe(12);
});

test("the estimate of a request is that of its texts", () => {
  expect(estimateInput(request)).toBe(countInput(request, estimateTokens));
});
