// The beginnings of images and documents: enough for what reads only their headers.

const padded = (...parts: (string | number[])[]) =>
  Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part, "latin1") : Buffer.from(part))));
const be = (value: number, bytes: number) => {
  const buffer = Buffer.alloc(bytes);
  buffer.writeUIntBE(value, 0, bytes);
  return [...buffer];
};
const le = (value: number, bytes: number) => be(value, bytes).reverse();

export const png = (width = 1, height = 1) =>
  padded("\x89PNG\r\n\x1a\n", be(13, 4), "IHDR", be(width, 4), be(height, 4), [8, 6, 0, 0, 0]);

/** A JPEG with a segment and a fill byte before its frame. */
export const jpeg = (width = 1, height = 1) =>
  padded([0xff, 0xd8, 0xff, 0xe0], be(4, 2), [1, 2, 0xff, 0xff, 0xc2], be(17, 2), [8], be(height, 2), be(width, 2));

export const gif = (width = 1, height = 1) => padded("GIF89a", le(width, 2), le(height, 2), [0, 0, 0]);

export const webp = (kind: "VP8 " | "VP8L" | "VP8X", width = 1, height = 1) =>
  padded("RIFF", le(100, 4), "WEBP", kind, le(10, 4), webpHeader[kind](width, height));

const webpHeader = {
  "VP8 ": (width: number, height: number) => [0, 0, 0, 0x9d, 0x01, 0x2a, ...le(width, 2), ...le(height, 2)],
  VP8L: (width: number, height: number) => [0x2f, ...le((width - 1) | ((height - 1) << 14), 4)],
  VP8X: (width: number, height: number) => [0, 0, 0, 0, ...le(width - 1, 3), ...le(height - 1, 3)],
};

/** A PDF with this many visible pages. */
export const pdf = (pages = 1) =>
  Buffer.from(`%PDF-1.7\n1 0 obj << /Type /Pages /Count ${pages} >> endobj\n${"<< /Type /Page >>\n".repeat(pages)}`);

export const base64 = (bytes: Buffer) => bytes.toString("base64");
export const dataUrl = (type: string, bytes: Buffer) => `data:${type};base64,${base64(bytes)}`;
