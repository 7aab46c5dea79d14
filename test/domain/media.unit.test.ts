// What the bytes of images and documents show, and how many tokens they may count.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { imageSizeOf } from "../../src/domain/image-size.ts";
import { bytesOf, canBeDocument, describeMedia, imageFormatOf } from "../../src/domain/media.ts";
import { documentTokens, mediaTokens, unknownImageTokens, withoutMedia } from "../../src/domain/media-tokens.ts";
import type { CanonicalRequest, ContentBlock } from "../../src/domain/request.ts";
import { base64, gif, jpeg, pdf, png, webp } from "../support/media.ts";

const images = [
  ["png", png],
  ["jpeg", jpeg],
  ["gif", gif],
  ["webp", (w: number, h: number) => webp("VP8 ", w, h)],
  ["webp", (w: number, h: number) => webp("VP8L", w, h)],
  ["webp", (w: number, h: number) => webp("VP8X", w, h)],
] as const;

describe.each(images)("%s (%#)", (format, make) => {
  test("is told by its bytes, and has the size in its header", () => {
    expect(imageFormatOf(make(640, 480))).toBe(format);
    expect(imageSizeOf(make(640, 480))).toEqual({ width: 640, height: 480 });
    expect(imageSizeOf(make(9000, 1))).toEqual({ width: 9000, height: 1 });
  });

  test("has no size if it is cut off within its header", () => {
    const whole = make(640, 480);
    for (let end = 0; end < 10; end++) expect(imageSizeOf(whole.subarray(0, end))).toBeUndefined();
  });
});

test("any bytes have a format and a size, or none, in bounded time", () => {
  const starts = [png(), jpeg(), gif(), webp("VP8 "), webp("VP8L"), webp("VP8X"), Buffer.alloc(0)];
  fc.assert(
    fc.property(fc.constantFrom(...starts), fc.nat(40), fc.uint8Array({ maxLength: 400 }), (start, keep, rest) => {
      const bytes = Buffer.concat([start.subarray(0, keep), rest]);
      imageFormatOf(bytes);
      imageSizeOf(bytes);
    }),
  );
});

test("bytes of base64 are counted without decoding it", () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      expect(bytesOf(Buffer.from(bytes).toString("base64"))).toBe(bytes.length);
    }),
  );
});

test("documents are told from other bytes", () => {
  expect(canBeDocument("pdf", pdf())).toBe(true);
  expect(canBeDocument("pdf", Buffer.concat([Buffer.from("junk\n"), pdf()]))).toBe(true);
  expect(canBeDocument("pdf", Buffer.from("PK\x03\x04"))).toBe(false);
  expect(canBeDocument("docx", Buffer.from("PK\x03\x04..."))).toBe(true);
  expect(canBeDocument("xls", Buffer.from("d0cf11e0a1b11ae1", "hex"))).toBe(true);
  expect(canBeDocument("md", Buffer.from("# Grüße"))).toBe(true);
  expect(canBeDocument("txt", Buffer.from([0xff, 0xfe, 0x41]))).toBe(false);
  expect(canBeDocument("csv", Buffer.from("a,b\0"))).toBe(false);
});

const image: ContentBlock = { type: "image", format: "png", data: base64(png()) };
const text: ContentBlock = { type: "text", text: "What is this?" };
const requestOf = (...content: ContentBlock[]): CanonicalRequest => ({
  messages: [{ role: "user", content }],
  parameters: { maxTokens: 10 },
});

test("each image counts as the model's most expensive one", () => {
  expect(mediaTokens(requestOf(text))).toEqual({ images: 0, documents: 0 });
  expect(mediaTokens(requestOf(image, text, image), 1_600)).toEqual({ images: 3_200, documents: 0 });
  expect(mediaTokens(requestOf(image)).images).toBe(unknownImageTokens);
});

test("documents count by pages, by text, or by bytes", () => {
  expect(documentTokens("pdf", base64(pdf(3)))).toBe(3 * documentTokens("pdf", base64(pdf(1))));
  expect(documentTokens("pdf", base64(Buffer.concat([pdf(0), Buffer.alloc(60_000)])))).toBeGreaterThan(0);
  expect(documentTokens("txt", base64(Buffer.from("one two three")))).toBeLessThan(10);
  expect(documentTokens("docx", base64(Buffer.alloc(1000)))).toBe(500);
});

test("a request without its media is the same request if it has none", () => {
  const plain = requestOf(text);
  expect(withoutMedia(plain)).toBe(plain);
  expect(withoutMedia(requestOf(image, text))).toEqual(plain);
});

test("a description has nothing of the content", () => {
  const data = base64(Buffer.concat([png(), Buffer.alloc(312 * 1024)]));
  expect(describeMedia({ type: "image", format: "png", data })).toBe("image/png, 313 KB");
});
